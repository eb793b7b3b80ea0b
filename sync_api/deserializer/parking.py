"""Parked units in the database: set aside, looked up, released."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from django.db.models import Q

from audit.models import Device
from sync_api.deserializer import troubles
from sync_api.deserializer.eras import units_of_eras
from sync_api.deserializer.lines import Line, mark_parked
from sync_api.deserializer.troubles import SEALED
from sync_api.deserializer.units import Head, Parked, Record, Units
from sync_api.models import IncomingBatch, ParkedRecord, ParkedUnit

PARKED = ParkedUnit.State.PARKED


def held_records(alias: str, batch: IncomingBatch, eras: Collection[str], *, before: bool = False) -> dict[Record, int]:
    """The records that parked units of the batch's device and of these eras hold back, with the id of the unit to
    blame: the batch's own era, and those that its records may come from (an era ended by force has parked units).

    With `before`, only units of batches before this one: those that a retried unit has to wait for.
    """
    units = ParkedUnit.objects.using(alias).filter(state=PARKED, device=batch.epoch.device_id)
    of_era = units_of_eras(alias, units, batch.epoch.device_id, eras)
    if of_era is None:
        return {}
    of_era = of_era.exclude(batch__is_late=True)  # never applied, so nothing can be applied before it
    rows = ParkedRecord.objects.using(alias).filter(parked_unit__in=of_era.order_by().values("pk"))
    if before:
        earlier_epoch = Q(parked_unit__batch__epoch__ordinal__lt=batch.epoch.ordinal)
        earlier = Q(parked_unit__batch__epoch=batch.epoch_id, parked_unit__batch__number__lt=batch.number)
        rows = rows.filter(earlier_epoch | earlier)
    held: dict[Record, int] = {}
    columns = ("tx_name", "tx_pk", "parked_unit_id", "parked_unit__blocked_by_id", "parked_unit__blocked_by__state")
    for tx_name, tx_pk, unit_id, blocked_by, state in rows.order_by("id").values_list(*columns):
        held.setdefault((tx_name, tx_pk), blocked_by if state == PARKED else unit_id)
    return held


def park(
    alias: str,
    device: Device,
    batch: IncomingBatch,
    waiting: dict[int, Parked],
    units: Units,
    *,
    now: datetime,
) -> None:
    """Set units of a batch aside: heads first, then those behind them. Call inside the consuming transaction."""
    if not waiting:
        return
    created: dict[int, ParkedUnit] = {}
    for is_head in (True, False):
        chosen = {unit: parked for unit, parked in waiting.items() if (parked.head is None) is is_head}
        rows = [new_unit(device, batch, unit, parked, created, now) for unit, parked in chosen.items()]
        ParkedUnit.objects.using(alias).bulk_create(rows)
        created.update(zip(chosen, rows, strict=True))
    ParkedRecord.objects.using(alias).bulk_create(
        ParkedRecord(parked_unit=row, tx_name=tx_name, tx_pk=tx_pk)
        for unit, row in created.items()
        for tx_name, tx_pk in units.records(unit)
    )
    mark_parked(alias, batch.pk, {unit: parked.trouble.text for unit, parked in waiting.items()})


def park_late(alias: str, device: Device, batch: IncomingBatch, lines: list[Line], *, now: datetime) -> int:
    """Set every unit of a late batch aside; how many. Call inside the consuming transaction.

    The device went on without these changes, so on top of its records they would undo what it did since.
    """
    units = Units(lines, [])
    waiting = {
        unit: Parked(rows[0], troubles.epoch_ended(rows[0].tx_name, rows[0].tx_pk))
        for unit, rows in units.by_number.items()
    }
    park(alias, device, batch, waiting, units, now=now)
    return len(waiting)


def new_unit(
    device: Device,
    batch: IncomingBatch,
    unit: int,
    parked: Parked,
    created: dict[int, ParkedUnit],
    now: datetime,
) -> ParkedUnit:
    row = ParkedUnit(device=device, batch=batch, unit=unit, parked_at=now, last_tried_at=now)
    describe(row, parked, head_id(parked.head, created))
    return row


def park_again(
    alias: str, batch: IncomingBatch, rows: Iterable[ParkedUnit], waiting: dict[int, Parked], *, now: datetime
) -> None:
    """Note a retry in vain, with the cause as it is now. Call inside the retrying transaction.

    Behind a unit that was sealed, its whole model waited. Once it is opened, what waits for nothing else is tried.
    """
    by_unit = {row.unit: row for row in rows if row.unit in waiting}
    opened = [row for row in by_unit.values() if row.code in SEALED and waiting[row.unit].trouble.code not in SEALED]
    ParkedUnit.objects.using(alias).filter(blocked_by__in=opened).update(blocked_by=None)
    for unit, row in by_unit.items():
        describe(row, waiting[unit], head_id(waiting[unit].head, by_unit))
        row.attempts += 1
        row.last_tried_at = now
    ParkedUnit.objects.using(alias).bulk_update(
        by_unit.values(),
        ["code", "text", "next_step", "tx_name", "tx_pk", "field", "blocked_by", "attempts", "last_tried_at"],
        batch_size=500,
    )
    mark_parked(alias, batch.pk, {unit: waiting[unit].trouble.text for unit in by_unit})


def describe(row: ParkedUnit, parked: Parked, blocked_by: int | None) -> None:
    row.code, row.text, row.field = parked.trouble
    row.next_step = parked.trouble.next_step
    row.tx_name, row.tx_pk = parked.line.tx_name, parked.line.tx_pk
    row.blocked_by_id = blocked_by


def head_id(head: Head | None, rows: dict[int, ParkedUnit]) -> int | None:
    if head is None:
        return None
    return head.parked_id if head.unit is None else rows[head.unit].pk
