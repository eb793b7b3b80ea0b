"""The commit clock: committed moments rise strictly, and never come before a moment already answered for."""

from __future__ import annotations

from datetime import datetime

from django.db import connections
from django.utils import timezone

from audit.exceptions import FutureMoment
from audit.fields import from_microseconds, to_microseconds
from audit.models import CommitClock
from audit.transactions import immediate


def next_moment(alias: str) -> int:
    """Allot the next committed moment, in microseconds, and hold the clock until the transaction ends.

    Call inside a transaction, as late as possible: every other commit of the mirror waits from here on.
    """
    now = to_microseconds(timezone.now())
    row = update(alias, "committed_at = {later}(%s, committed_at + 1, asked_until + 1)", now)
    if row is None:
        CommitClock.objects.using(alias).bulk_create([CommitClock()], ignore_conflicts=True)
        return next_moment(alias)
    return row


def hold_clock(alias: str) -> None:
    """Keep every commit of the mirror waiting until the transaction ends. Call inside one; SQLite's lock is enough."""
    if connections[alias].vendor != "sqlite":
        CommitClock.objects.using(alias).bulk_create([CommitClock()], ignore_conflicts=True)
        CommitClock.objects.using(alias).select_for_update().get(pk=1)


def promise(alias: str, moment: datetime) -> None:
    """See to it that nothing is committed at or before `moment` from now on.

    Opens its own short transaction when `moment` is later than the last commit: it waits for a commit in
    flight, and notes the moment. Inside an open transaction the note joins that one, and commits wait until
    it ends. FutureMoment if `moment` is later than this server's clock.
    """
    asked = to_microseconds(moment)
    clock = CommitClock.objects.using(alias).filter(pk=1).first()
    if clock is not None and moment <= max(clock.committed_at, clock.asked_until):
        return
    now = timezone.now()
    if moment > now:
        raise FutureMoment(moment=moment, now=now)
    with immediate(alias):
        if update(alias, "asked_until = {later}(%s, asked_until)", asked) is None:
            CommitClock.objects.using(alias).bulk_create([CommitClock()], ignore_conflicts=True)
            update(alias, "asked_until = {later}(%s, asked_until)", asked)


def last_commit(alias: str) -> datetime:
    """The last committed moment; 1970 before the first."""
    clock = CommitClock.objects.using(alias).filter(pk=1).first()
    return from_microseconds(0) if clock is None else clock.committed_at


def update(alias: str, assignment: str, moment: int) -> int | None:
    """Set one column of the clock under its lock; answers `committed_at`, None if there is no clock yet."""
    connection = connections[alias]
    later = "MAX" if connection.vendor == "sqlite" else "GREATEST"
    table = connection.ops.quote_name(CommitClock._meta.db_table)
    sql = f"UPDATE {table} SET {assignment.format(later=later)} WHERE id = 1 RETURNING committed_at"
    with connection.cursor() as cursor:
        cursor.execute(sql, [moment])
        row = cursor.fetchone()
    return None if row is None else int(row[0])
