"""Parked units: tried again, or ignored by an operator with a reason."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.utils import timezone

from audit.models import Device
from sync_api import conf
from sync_api.deserializer.claim import claimed
from sync_api.deserializer.lines import mark_ignored, mark_released, parked_lines
from sync_api.deserializer.parking import PARKED, held_records, park_again
from sync_api.deserializer.report import DeviceReport
from sync_api.deserializer.settle import Work, settle
from sync_api.exceptions import ParkedUnitUnknown, ReasonMissing
from sync_api.models import IncomingBatch, ParkedUnit
from sync_api.transactions import immediate


def open_units(alias: str, device_id: int | None = None) -> QuerySet[ParkedUnit]:
    """The parked units of a device (None: of all), in the order in which they wait."""
    units = ParkedUnit.objects.using(alias).filter(state=PARKED)
    if device_id is not None:
        units = units.filter(device=device_id)
    return units.order_by("device", "batch__epoch__ordinal", "batch__number", "unit")


def retry_device(alias: str, device_id: int, report: DeviceReport, *, committed_by: str) -> None:
    """Try the device's parked units again, batch by batch in order, each batch in its own transaction.

    Units behind a head that is still parked are left alone. At most SYNC_PARKED_RETRY_UNITS_MAX units a run.
    """
    allowed = conf.limit("SYNC_PARKED_RETRY_UNITS_MAX")
    waiting = open_units(alias, device_id).values_list("batch_id", flat=True)[:allowed]
    for batch_id in dict.fromkeys(waiting):
        with claimed(alias, device_id) as device:
            if device is None:
                report.is_busy = True
                return
            retry_batch(alias, device, batch_id, report, committed_by=committed_by)


def retry_batch(alias: str, device: Device, batch_id: int, report: DeviceReport, *, committed_by: str) -> None:
    """Try the parked units of one batch. Call inside the device's claim."""
    units = open_units(alias, device.pk).filter(batch=batch_id)
    if not units.filter(Q(blocked_by=None) | ~Q(blocked_by__state=PARKED)).exists():
        return
    now = timezone.now()
    rows = {row.unit: row for row in units}
    batch = IncomingBatch.objects.using(alias).defer("content").select_related("epoch").get(pk=batch_id)
    reference = f"{batch.epoch.epoch}/{batch.number}"
    work = Work(alias, device, batch.epoch.era, batch.header, reference, committed_by)
    settled = settle(work, parked_lines(alias, batch_id, list(rows)), held_records(alias, batch, before=True))
    park_again(alias, batch, rows.values(), settled.waiting, now=now)
    released = [unit for unit in rows if unit not in settled.waiting]
    ParkedUnit.objects.using(alias).filter(batch=batch_id, unit__in=released).update(
        state=ParkedUnit.State.RELEASED, ended_at=now, blocked_by=None
    )
    mark_released(alias, batch_id, released, now=now)
    report.released += len(released)
    report.add(settled.changes)


def retry_parked(
    alias: str, unit_id: int | None = None, *, device: str | None = None, committed_by: str = ""
) -> list[DeviceReport]:
    """Try parked units again: of the device of unit `unit_id`, of the device of that name, or everybody's.

    Opens its own transactions, one per batch. ParkedUnitUnknown if `unit_id` is not parked.
    """
    committed_by = committed_by or conf.alias_settings(alias).device
    units = open_units(alias)
    if unit_id is not None:
        units = units.filter(device=find_unit(alias, unit_id).device_id)
    if device is not None:
        units = units.filter(device__name=device)
    reports = []
    for device_id, name in dict.fromkeys(units.values_list("device_id", "device__name")):
        report = DeviceReport(name)
        retry_device(alias, device_id, report, committed_by=committed_by)
        report.parked_open = open_units(alias, device_id).count()
        reports.append(report)
    return reports


def ignore(alias: str, unit_id: int, *, reason: str, ignored_by: str = "") -> list[DeviceReport]:
    """Set a parked unit aside for good, with a reason; what was received stays as it is. Then retry its device.

    Units behind it are tried at once and may then be parked for a cause of their own. Opens its own
    transactions. ParkedUnitUnknown, ReasonMissing.
    """
    if not reason.strip():
        raise ReasonMissing(unit_id=unit_id)
    with immediate(alias):
        unit = find_unit(alias, unit_id, lock=True)
        unit.state = ParkedUnit.State.IGNORED
        unit.ended_at = timezone.now()
        unit.ignored_by = ignored_by or conf.alias_settings(alias).device
        unit.ignored_reason = reason.strip()
        unit.save(using=alias, update_fields=["state", "ended_at", "ignored_by", "ignored_reason"])
        mark_ignored(alias, unit.batch_id, unit.unit)
    if not open_units(alias, unit.device_id).exists():
        return []
    report = DeviceReport(unit.device.name)
    retry_device(alias, unit.device_id, report, committed_by=conf.alias_settings(alias).device)
    report.parked_open = open_units(alias, unit.device_id).count()
    return [report]


def find_unit(alias: str, unit_id: int, *, lock: bool = False) -> ParkedUnit:
    units = ParkedUnit.objects.using(alias).filter(pk=unit_id, state=PARKED)
    unit = (units.select_for_update() if lock else units).first()
    if unit is None:
        raise ParkedUnitUnknown(unit_id=unit_id, alias=alias)
    return unit
