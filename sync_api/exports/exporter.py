"""The exporter: marks, then sends what is due, and does so again until nothing is left.

Scheduler, clock and the way to a target come from outside, so that it can be driven step by step.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from django.utils import timezone

from sync_api.conf import limit
from sync_api.exceptions import SyncError
from sync_api.exports import tasks as queue
from sync_api.exports.conversation import (
    COMPLETE,
    ExportState,
    Fault,
    Handshake,
    Line,
    Outcome,
    failed,
    send_records,
)
from sync_api.exports.marking import mark_all
from sync_api.exports.sources import EntitySource, source_for
from sync_api.models import ExportConfiguration, ExportTask

logger = logging.getLogger(__name__)

METEORPI = ExportConfiguration.Protocol.METEORPI
Connect = Callable[[ExportConfiguration], Line]
"""Opens the way to a configuration's target. SyncError when it may not be used."""


class Scheduler(Protocol):
    """Calls `work` again and again, with `seconds` between its end and the next call, until it is stopped."""

    def repeat(self, work: Callable[[], object], *, seconds: float) -> None: ...


class Sleeping:
    """The scheduler of a process that does nothing else."""

    def __init__(self, *, rounds: int | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        self.rounds, self.sleep = rounds, sleep

    def repeat(self, work: Callable[[], object], *, seconds: float) -> None:
        left = self.rounds
        while left is None or left > 0:
            work()
            left = None if left is None else left - 1
            if left != 0:
                self.sleep(seconds)


@dataclass(slots=True)
class ExportReport:
    """What one run did: tasks marked, and how the turns of tasks ended."""

    marked: int = 0
    ended: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ExportState, 0))

    @property
    def sentence(self) -> str:
        told = ", ".join(f"{count} {state}" for state, count in self.ended.items() if count) or "nothing was due"
        return f"Marked {self.marked} entities; {told}."


class Exporter:
    """Sends what one database's configurations have to send."""

    def __init__(
        self,
        alias: str,
        connect: Connect,
        *,
        clock: Callable[[], datetime] = timezone.now,
        scheduler: Scheduler | None = None,
        jitter: queue.Jitter = random.uniform,
    ) -> None:
        self.alias, self.connect, self.clock, self.jitter = alias, connect, clock, jitter
        self.scheduler = scheduler or Sleeping()

    def start(self, tell: Callable[[ExportReport], object] = lambda report: None) -> None:
        """Run at once and then every SYNC_EXPORT_MARK_SECONDS, as long as the scheduler does."""
        self.scheduler.repeat(lambda: tell(self.run()), seconds=float(limit("SYNC_EXPORT_MARK_SECONDS")))

    def run(self) -> ExportReport:
        """Mark all enabled configurations and send what is due, again until there is nothing left to do."""
        report = ExportReport()
        while True:
            marked = self.mark()
            report.marked += marked
            turns = self.drain(report)
            if not marked and not turns:
                return report

    def mark(self) -> int:
        return mark_all(self.alias, now=self.clock())

    def drain(self, report: ExportReport) -> int:
        """Send until nothing is due; the number of turns."""
        turns = 0
        while ended := self.send_next(int(limit("SYNC_EXPORT_CLAIM_TASKS"))):
            turns += len(ended)
            for state in ended:
                report.ended[state] += 1
        return turns

    def handle_next_export(self) -> ExportState | None:
        """The next due task's turn: complete, continue, failed or confused. None when nothing is due."""
        ended = self.send_next(1)
        return ended[0] if ended else None

    def send_next(self, count: int) -> list[ExportState]:
        """Claim up to `count` tasks of one configuration and send them, up to the first failure."""
        claimed = queue.claim(self.alias, now=self.clock(), count=count)
        if claimed is None:
            return []
        turn = Turn(self, claimed)
        try:
            turn.send()
        except SyncError as error:
            turn.give_up(failed(str(error), Fault.TARGET))
        except LeaseLost:
            turn.ended.append(ExportState.CONTINUE)
        except BaseException:
            turn.abandon()
            raise
        return turn.ended


class Turn:
    """One claim's tasks on their way."""

    def __init__(self, exporter: Exporter, claimed: queue.Claim) -> None:
        self.exporter, self.alias, self.claimed = exporter, exporter.alias, claimed
        self.waiting = list(claimed.tasks)
        self.done: list[ExportTask] = []
        self.ended: list[ExportState] = []
        self.renewed_at = exporter.clock()

    def send(self) -> None:
        source = source_for(self.claimed.configuration.entity_type)
        line = self.exporter.connect(self.claimed.configuration)
        if self.claimed.configuration.protocol == METEORPI and source.wire is not None:
            self.send_one_by_one(source, line)
        else:
            self.send_together(source, line)

    def send_together(self, source: EntitySource, line: Line) -> None:
        records = source.records(self.alias, self.waiting)
        bodies = [records[task.pk] for task in self.waiting if task.pk in records]
        outcome = send_records(line, str(self.claimed.configuration.pk), bodies) if bodies else COMPLETE
        if outcome.state is ExportState.COMPLETE:
            self.note_complete(self.waiting)
            self.settle()
        elif outcome.fault is Fault.ENTITY and len(self.waiting) > 1:
            self.send_apart(source, line)
        else:
            self.give_up(outcome)

    def send_apart(self, source: EntitySource, line: Line) -> None:
        """One of them was refused: each by itself, so that only that one is held against."""
        records = source.records(self.alias, self.waiting)
        identity = str(self.claimed.configuration.pk)
        while self.waiting:
            self.beat()
            body = records.get(self.waiting[0].pk)
            outcome = send_records(line, identity, [body]) if body is not None else COMPLETE
            if outcome.state is not ExportState.COMPLETE:
                self.give_up(outcome)
                return
            self.note_complete(self.waiting[:1])
        self.settle()

    def send_one_by_one(self, source: EntitySource, line: Line) -> None:
        assert source.wire is not None
        bodies = source.wire.bodies(self.alias, self.waiting)
        while self.waiting:
            task = self.waiting[0]
            body = bodies.get(task.pk)
            outcome = COMPLETE  # what is gone needs no sending; its removal is a task of its own
            if body is not None:
                outcome = Handshake(self.alias, source.wire, line, body, entity_id(task), self.beat).run()
            if outcome.state is ExportState.COMPLETE:
                self.note_complete([task])
                continue
            self.give_up(outcome)
            if outcome.fault is not Fault.LOCAL:
                return
        self.settle()

    def note_complete(self, tasks: Sequence[ExportTask]) -> None:
        self.done.extend(tasks)
        self.ended.extend([ExportState.COMPLETE] * len(tasks))
        self.waiting = [task for task in self.waiting if task not in tasks]

    def settle(self) -> None:
        queue.complete(self.alias, self.claimed, self.done, self.exporter.clock())
        self.done = []

    def give_up(self, outcome: Outcome) -> None:
        """The first waiting task (or all that were sent together) failed; the rest is free again unless it goes on."""
        self.settle()
        together = self.claimed.configuration.protocol != METEORPI and outcome.fault is Fault.TARGET
        hit = self.waiting if together else self.waiting[:1]
        now, jitter = self.exporter.clock(), self.exporter.jitter
        queue.fail(self.alias, self.claimed, hit, outcome, now=now, jitter=jitter)
        logger.warning(
            "An export failed",
            extra={"configuration": str(self.claimed.configuration.pk), "state": outcome.state.value},
        )
        self.ended.append(outcome.state)
        self.waiting = self.waiting[len(hit) :]
        if outcome.fault is not Fault.LOCAL:
            queue.release(self.alias, self.claimed, self.waiting)
            self.waiting = []

    def abandon(self) -> None:
        """Ended from outside: what was sent is noted, the rest is free again."""
        self.settle()
        queue.release(self.alias, self.claimed, self.waiting)

    def beat(self) -> None:
        """Keep the lease while the work takes long. LeaseLost when it is somebody else's by now."""
        now = self.exporter.clock()
        if now - self.renewed_at < timedelta(seconds=float(limit("SYNC_EXPORT_LEASE_SECONDS")) / 3):
            return
        self.settle()
        if not queue.renew(self.alias, self.claimed, self.waiting, now):
            raise LeaseLost
        self.renewed_at = now


class LeaseLost(Exception):
    """The lease ran out while a request took too long; another exporter has the tasks."""


def entity_id(task: ExportTask) -> str:
    return task.entity
