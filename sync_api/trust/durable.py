"""The durable mark: what an operator's verified backup holds, told to the devices by signed receipts.

A device may remove what a durable mark covers, so a batch counts only when the backup holds it for certain: it is
found in the backed-up SQLite file with the same hash, or it was received a while before the backup began.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db.models import Min, QuerySet
from django.utils import timezone

from sync_api.conf import limit
from sync_api.exceptions import BackupUnclear, DeviceUnknown
from sync_api.models import IncomingBatch, IncomingEpoch
from sync_api.transactions import immediate
from sync_api.trust.taking import issue_statement

logger = logging.getLogger(__name__)
SQLITE = b"SQLite format 3\0"
READ_AT_ONCE = 1_000
State = IncomingBatch.State


@dataclass(frozen=True, slots=True)
class Durable:
    """One epoch's mark. `before` is the number that was durable until now."""

    device: str
    epoch: str
    number: int
    before: int
    head: int


def mark_durable(
    alias: str, *, backup: str, at: datetime | None = None, device: str | None = None, until: int | None = None
) -> list[Durable]:
    """Mark what a verified backup holds, and issue a durable receipt for each mark that moved.

    `backup` is the path of a backed-up SQLite database, which is then read, or a label for people with `at`, the
    moment at which the backup began. `until` is the highest batch number that may count. Marks never go back.
    Opens its own transaction per epoch. Raises BackupUnclear and DeviceUnknown.
    """
    covered = covered_by(alias, backup, at)
    epochs = IncomingEpoch.objects.using(alias).filter(head_number__gt=0).order_by("device__name", "ordinal")
    if device is not None:
        epochs = epochs.filter(device__name=device)
        if not epochs.exists():
            raise DeviceUnknown(device=device)
    marks = [mark_epoch(alias, pk, covered, until, backup) for pk in list(epochs.values_list("pk", flat=True))]
    moved = [mark for mark in marks if mark.number > mark.before]
    logger.info("durable mark", extra={"backup": backup, "epochs": len(marks), "moved": len(moved)})
    return marks


def covered_by(alias: str, backup: str, at: datetime | None) -> Callable[[IncomingEpoch], int]:
    """Says of an epoch up to which number the backup holds all its batches."""
    if is_sqlite_file(backup):
        return lambda epoch: covered_in_file(alias, Path(backup), epoch)
    if Path(backup).is_file() and at is None:
        raise BackupUnclear(what="the backup is no SQLite database, so it cannot be read here")
    if at is None:
        raise BackupUnclear(what="the moment at which the backup began is not given")
    if at.tzinfo is None:
        raise BackupUnclear(what="the moment has no time zone")
    if at > timezone.now():
        raise BackupUnclear(what="the moment lies in the future")
    safe = at - timedelta(seconds=limit("SYNC_DURABLE_MARGIN_SECONDS"))
    return lambda epoch: covered_before(alias, safe, epoch)


def mark_epoch(
    alias: str, epoch_id: int, covered: Callable[[IncomingEpoch], int], until: int | None, backup: str
) -> Durable:
    """Advance one epoch's mark and issue its receipt. Opens its own transaction."""
    with immediate(alias):
        epochs = IncomingEpoch.objects.using(alias).select_related("device").select_for_update(of=("self",))
        epoch = epochs.get(pk=epoch_id)
        before, number = epoch.durable_number, covered(epoch)
        number = min(number, epoch.head_number if until is None else until)
        if number > before:
            IncomingEpoch.objects.using(alias).filter(pk=epoch_id).update(durable_number=number)
            batch = held(alias, epoch).get(number=number)
            issue_statement(
                alias,
                "durable",
                epoch.device.name,
                via=f"mark_durable {Path(backup).name}",
                epoch=epoch.epoch,
                number=number,
                hash=batch.hash,
            )
    return Durable(epoch.device.name, epoch.epoch, max(number, before), before, epoch.head_number)


def held(alias: str, epoch: IncomingEpoch) -> QuerySet[IncomingBatch]:
    batches = IncomingBatch.objects.using(alias).filter(epoch=epoch, state__in=[State.HELD, State.CONSUMED])
    return batches.defer("content", "header").order_by("number")


def covered_before(alias: str, moment: datetime, epoch: IncomingEpoch) -> int:
    """The number before the first batch that was received at that moment or later."""
    later = held(alias, epoch).filter(received_at__gte=moment)
    first = later.order_by().aggregate(first=Min("number"))["first"]
    return epoch.head_number if first is None else first - 1


# --- a SQLite file -------------------------------------------------------------------------------------------------


def is_sqlite_file(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            return file.read(len(SQLITE)) == SQLITE
    except OSError:
        return False


def covered_in_file(alias: str, path: Path, epoch: IncomingEpoch) -> int:
    """Up to which number the file holds the same batches, bytes and all, without a gap."""
    batches = held(alias, epoch).filter(number__gt=epoch.durable_number).values_list("number", "hash", "size")
    number = epoch.durable_number
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            for expected, hash_hex, size in batches.iterator(chunk_size=READ_AT_ONCE):
                if expected != number + 1 or not is_in_file(connection, epoch, expected, hash_hex, size):
                    break
                number = expected
    except sqlite3.Error as error:
        raise BackupUnclear(what=f"the file cannot be read ({type(error).__name__})") from error
    return number


def is_in_file(connection: sqlite3.Connection, epoch: IncomingEpoch, number: int, hash_hex: str, size: int) -> bool:
    batch, its_epoch = IncomingBatch._meta.db_table, IncomingEpoch._meta.db_table
    found: Any = connection.execute(
        f"SELECT length(b.content) FROM {batch} b JOIN {its_epoch} e ON e.id = b.epoch_id "
        "WHERE e.epoch = ? AND b.number = ? AND b.hash = ? AND b.state IN ('held', 'consumed')",
        (epoch.epoch, number, hash_hex),
    ).fetchone()
    return found is not None and found[0] == size
