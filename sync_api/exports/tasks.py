"""Claiming tasks and noting how they ended. A fixed number of statements, however many tasks are done.

A claim is a lease: two exporters never have one task at once, and what a crashed one had is due again when its lease
is over. All moments come from the caller's clock.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Case, F, OuterRef, Q, QuerySet, Subquery, Value, When

from sync_api.conf import limit
from sync_api.exports.conversation import Fault, Outcome
from sync_api.models import ExportConfiguration, ExportTask
from sync_api.transactions import immediate

State = ExportTask.State
Jitter = Callable[[float, float], float]
REASON_LENGTH_MAX = 500


@dataclass(frozen=True, slots=True)
class Claim:
    """Tasks of one configuration, in order, that nobody else has until `until`."""

    configuration: ExportConfiguration
    tasks: list[ExportTask]
    holder: str


def due(alias: str, now: datetime) -> QuerySet[ExportTask]:
    """Tasks to send now: time, then id."""
    free = Q(leased_until__isnull=True) | Q(leased_until__lte=now)
    tasks = ExportTask.objects.using(alias).filter(free, done_at__isnull=True, due_at__lte=now)
    return tasks.order_by("due_at", "id")


def open_configurations(alias: str, now: datetime) -> QuerySet[ExportConfiguration]:
    """Those that are enabled and not deferred."""
    ready = Q(deferred_until__isnull=True) | Q(deferred_until__lte=now)
    return ExportConfiguration.objects.using(alias).filter(ready, is_enabled=True)


def claim(alias: str, *, now: datetime, count: int) -> Claim | None:
    """The next `count` tasks at most, of the configuration whose turn it is; None when nothing is due.

    Only tasks that come before the next configuration's first one, so that the order over all configurations is kept.
    Opens its own transaction.
    """
    heads = due(alias, now).filter(configuration=OuterRef("pk"))
    with immediate(alias):
        first = {name: Subquery(heads.values(name)[:1]) for name in ("due_at", "id")}
        ready = open_configurations(alias, now).annotate(head_due=first["due_at"], head_id=first["id"])
        ordered = sorted((one for one in ready if one.head_id is not None), key=lambda one: (one.head_due, one.head_id))
        for place, configuration in enumerate(ordered):
            tasks = due(alias, now).filter(configuration=configuration)
            if place + 1 < len(ordered):
                other = ordered[place + 1]
                tasks = tasks.filter(Q(due_at__lt=other.head_due) | Q(due_at=other.head_due, id__lt=other.head_id))
            taken = list(tasks.select_for_update(skip_locked=True, of=("self",))[:count])
            if taken:
                return Claim(configuration, taken, lease(alias, taken, now))
    return None


def lease(alias: str, tasks: Sequence[ExportTask], now: datetime) -> str:
    holder = uuid.uuid4().hex
    ids = [task.pk for task in tasks]
    ExportTask.objects.using(alias).filter(pk__in=ids).update(lease=holder, leased_until=lease_end(now))
    return holder


def lease_end(now: datetime) -> datetime:
    return now + timedelta(seconds=float(limit("SYNC_EXPORT_LEASE_SECONDS")))


def held(alias: str, holder: str) -> QuerySet[ExportTask]:
    return ExportTask.objects.using(alias).filter(lease=holder, done_at__isnull=True)


def renew(alias: str, claimed: Claim, tasks: Sequence[ExportTask], now: datetime) -> bool:
    """Keep the lease of `tasks`. False when any of it was lost: then nothing of it may be sent."""
    mine = held(alias, claimed.holder).filter(pk__in=[task.pk for task in tasks])
    return mine.update(leased_until=lease_end(now)) == len(tasks)


def release(alias: str, claimed: Claim, tasks: Sequence[ExportTask]) -> None:
    """Tasks that were not tried: due again at once."""
    mine = held(alias, claimed.holder).filter(pk__in=[task.pk for task in tasks])
    mine.update(lease="", leased_until=None)


def complete(alias: str, claimed: Claim, tasks: Sequence[ExportTask], now: datetime) -> int:
    """Done, and the configuration's failures are forgotten. Opens its own transaction."""
    if not tasks:
        return 0
    with immediate(alias):
        mine = held(alias, claimed.holder).filter(pk__in=[task.pk for task in tasks])
        done = mine.update(state=State.COMPLETE, done_at=now, lease="", leased_until=None, last_error="")
        configurations(alias, claimed).update(
            failures=0,
            last_error="",
            deferred_until=None,
            completed_count=F("completed_count") + done,
            last_completed_at=now,
        )
    return done


def fail(
    alias: str,
    claimed: Claim,
    tasks: Sequence[ExportTask],
    outcome: Outcome,
    *,
    now: datetime,
    jitter: Jitter = random.uniform,
) -> None:
    """Note a failure. Opens its own transaction.

    A failure of ours is the task's alone: other tasks go on. Any other defers all due tasks of the configuration and
    counts; at SYNC_EXPORT_FAILURES_MAX the configuration is disabled. A failure about the entity counts for the task
    too, which comes after the others when they are due again, and ends as dead at SYNC_EXPORT_TASK_ATTEMPTS_MAX.
    """
    until = now + timedelta(seconds=deferral(outcome.retry_after, jitter))
    reason = outcome.reason[:REASON_LENGTH_MAX]
    with immediate(alias):
        dead = fail_tasks(alias, claimed, tasks, outcome, reason, until=until, now=now)
        rows = configurations(alias, claimed)
        rows.update(failed_count=F("failed_count") + 1, dead_count=F("dead_count") + dead, last_error=reason)
        if outcome.fault is not Fault.LOCAL:
            count_failure(rows, until=until, now=now)


def count_failure(rows: QuerySet[ExportConfiguration], *, until: datetime, now: datetime) -> None:
    most = int(limit("SYNC_EXPORT_FAILURES_MAX"))
    rows.update(
        # a count that was at its end belongs to a time before somebody enabled it again
        failures=Case(When(failures__gte=most, then=Value(1)), default=F("failures") + 1),
        deferred_until=until,
    )
    rows.filter(failures__gte=most).update(is_enabled=False, disabled_at=now)


def fail_tasks(
    alias: str,
    claimed: Claim,
    tasks: Sequence[ExportTask],
    outcome: Outcome,
    reason: str,
    *,
    until: datetime,
    now: datetime,
) -> int:
    """How many of them are given up."""
    mine = held(alias, claimed.holder).filter(pk__in=[task.pk for task in tasks])
    if outcome.fault is Fault.TARGET:
        mine.update(lease="", leased_until=None, last_error=reason)
        return 0
    later = until + timedelta(microseconds=1)
    most = int(limit("SYNC_EXPORT_TASK_ATTEMPTS_MAX"))
    mine.update(attempts=F("attempts") + 1, due_at=later, last_error=reason)
    dead = mine.filter(attempts__gte=most).update(state=State.DEAD, done_at=now, lease="", leased_until=None)
    mine.update(lease="", leased_until=None)
    return dead


def configurations(alias: str, claimed: Claim) -> QuerySet[ExportConfiguration]:
    return ExportConfiguration.objects.using(alias).filter(pk=claimed.configuration.pk)


def deferral(retry_after: float, jitter: Jitter) -> float:
    """Seconds: at least the deferral and what the target asks for, and up to the jitter more."""
    asked = min(retry_after, float(limit("SYNC_EXPORT_RETRY_AFTER_SECONDS_MAX")))
    return max(float(limit("SYNC_EXPORT_DEFER_SECONDS")), asked) + jitter(
        0.0, float(limit("SYNC_EXPORT_JITTER_SECONDS"))
    )


def revive(alias: str, configuration: ExportConfiguration, *, now: datetime) -> int:
    """Dead tasks are tried again, from the first attempt on. Opens its own transaction."""
    with immediate(alias):
        dead = ExportTask.objects.using(alias).filter(configuration=configuration, state=State.DEAD)
        revived = dead.update(state=State.PENDING, attempts=0, done_at=None, due_at=now, last_error="")
        rows = ExportConfiguration.objects.using(alias).filter(pk=configuration.pk)
        rows.update(dead_count=Case(When(dead_count__gte=revived, then=F("dead_count") - revived), default=Value(0)))
    return revived
