"""Parked units: tried again, or ignored by an operator with a reason."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from django.db import Error
from django.db.models import Count, Min, Q, QuerySet
from django.utils import timezone

from audit.engine.changes import BASELINE_DIFFERS
from audit.models import Device
from sync_api import conf
from sync_api.deserializer.careful import settle_carefully
from sync_api.deserializer.claim import claimed
from sync_api.deserializer.emptied import mark_erased
from sync_api.deserializer.ending import end_era, without_marks
from sync_api.deserializer.lines import mark_ignored, mark_released, parked_lines
from sync_api.deserializer.parking import PARKED, held_records, park_again
from sync_api.deserializer.report import DeviceReport, sentence_of
from sync_api.deserializer.settle import work_of
from sync_api.deserializer.unsealing import unseal
from sync_api.exceptions import NotABaseline, ParkedUnitUnknown, ReasonMissing
from sync_api.models import IncomingBatch, ParkedUnit
from sync_api.transactions import immediate

FREED = Q(blocked_by__isnull=False) & ~Q(blocked_by__state=PARKED)
"""Units whose head was applied or ignored since: they can be tried at any time."""

logger = logging.getLogger(__name__)


class ReadyBatch(NamedTuple):
    """A batch with parked units worth trying, and its place among the device's batches."""

    epoch: int
    number: int
    batch_id: int
    units: int


def open_units(alias: str, device_id: int | None = None) -> QuerySet[ParkedUnit]:
    """The parked units of a device (None: of all), in the order in which they wait."""
    units = ParkedUnit.objects.using(alias).filter(state=PARKED)
    if device_id is not None:
        units = units.filter(device=device_id)
    return units.order_by("device", "batch__epoch__ordinal", "batch__number", "unit")


def retry_device(alias: str, device_id: int, report: DeviceReport, *, committed_by: str, only: Q | None = None) -> None:
    """Try the device's parked units again, batch by batch, each batch in its own transaction.

    Units behind a head that is still parked are left alone; those behind a head that is released follow in the same
    run. `only` narrows what is tried first; what else is parked in the same batches is tried with it. About
    SYNC_PARKED_RETRY_UNITS_MAX units a run, those first whose last try is longest ago: so each has its turn, however
    many are parked. A batch that cannot be tried is in the report and keeps no other one waiting.
    """
    allowed = int(conf.limit("SYNC_PARKED_RETRY_UNITS_MAX"))
    chosen = ready_batches(alias, device_id, Q(blocked_by=None) | FREED if only is None else only)
    tried: set[int] = set()
    failed: set[int] = set()
    while chosen and allowed > 0:
        turn = within(chosen, allowed)
        allowed -= sum(batch.units for batch in turn)
        for batch in sorted(turn):
            tried.add(batch.batch_id)
            try:
                with claimed(alias, device_id) as device:
                    if device is None:
                        report.is_busy = True
                        return
                    retry_batch(alias, device, batch.batch_id, report, committed_by=committed_by)
            except Error:
                raise
            except Exception as error:  # whatever it is, it must not delay the other batches; the report carries it
                failed.add(batch.batch_id)
                report.error = sentence_of(error)
                facts = {"device": report.device, "batch": batch.number, "kind": type(error).__name__}
                logger.error("retrying a batch's parked units stopped", extra=facts)
        rest = [batch for batch in chosen if batch.batch_id not in tried]
        chosen = rest or [batch for batch in ready_batches(alias, device_id, FREED) if batch.batch_id not in failed]


def ready_batches(alias: str, device_id: int, condition: Q) -> list[ReadyBatch]:
    """The device's batches with parked units that fit `condition`, the longest untried first."""
    ready = open_units(alias, device_id).filter(condition).order_by()
    grouped = ready.values_list("batch__epoch__ordinal", "batch__number", "batch").annotate(
        units=Count("pk"), oldest=Min("last_tried_at")
    )
    return [ReadyBatch(*row[:4]) for row in grouped.order_by("oldest", "batch__epoch__ordinal", "batch__number")]


def within(batches: list[ReadyBatch], allowed: int) -> list[ReadyBatch]:
    """So many of the batches from the front that their units reach `allowed`, one at least."""
    taken: list[ReadyBatch] = []
    for batch in batches:
        if allowed <= 0:
            break
        taken.append(batch)
        allowed -= batch.units
    return taken


def retry_batch(alias: str, device: Device, batch_id: int, report: DeviceReport, *, committed_by: str) -> None:
    """Try the parked units of one batch. Call inside the device's claim."""
    units = open_units(alias, device.pk).filter(batch=batch_id)
    if not units.filter(Q(blocked_by=None) | FREED).exists():
        return
    now = timezone.now()
    rows = {row.unit: row for row in units}
    batch = IncomingBatch.objects.using(alias).defer("content").select_related("epoch").get(pk=batch_id)
    unseal(alias, batch)
    if batch.is_late:  # to be read and ignored; it only takes its turn
        units.update(last_tried_at=now)
        return
    accepted = frozenset(unit for unit, row in rows.items() if row.accepted_by)
    work = replace(work_of(alias, device, batch, committed_by=committed_by), accepted=accepted)
    lines, marks = without_marks(parked_lines(alias, batch_id, list(rows)))
    settled = settle_carefully(work, lines, held_records(alias, batch, (work.era, *work.earlier), before=True))
    mark_erased(alias, batch, lines)
    park_again(alias, batch, rows.values(), settled.waiting, now=now)
    ended = {mark.unit for mark in marks}
    released = [unit for unit in rows if unit not in settled.waiting and unit not in ended]
    release(alias, batch_id, released, report, now=now)
    report.add(settled.changes)
    for mark in marks:
        end = end_era(work, batch, mark, now=now)
        park_again(alias, batch, rows.values(), end.waiting, now=now)
        release(alias, batch_id, [] if end.waiting else [mark.unit], report, now=now)
        report.add(end.changes)


def release(alias: str, batch_id: int, units: list[int], report: DeviceReport, *, now: datetime) -> None:
    """Note that parked units of a batch were applied after all. Call inside the transaction that did."""
    ParkedUnit.objects.using(alias).filter(batch=batch_id, unit__in=units).update(
        state=ParkedUnit.State.RELEASED, ended_at=now, blocked_by=None
    )
    mark_released(alias, batch_id, units, now=now)
    report.released += len(units)


def retry_parked(
    alias: str,
    unit_id: int | None = None,
    *,
    device: str | None = None,
    cause: str | None = None,
    committed_by: str = "",
) -> list[DeviceReport]:
    """Try parked units again: one unit (or the one it waits for), those with a cause, a device's, or everybody's.

    What is parked in the same batches is tried with them, and what waited behind follows. Opens its own
    transactions, one per batch. ParkedUnitUnknown if `unit_id` is not parked.
    """
    committed_by = committed_by or conf.alias_settings(alias).device
    reports = []
    for device_id, name, only in chosen_devices(alias, unit_id, device=device, cause=cause):
        report = DeviceReport(name)
        retry_device(alias, device_id, report, committed_by=committed_by, only=only)
        report.parked_open = open_units(alias, device_id).count()
        reports.append(report)
    return reports


def chosen_devices(
    alias: str, unit_id: int | None, *, device: str | None, cause: str | None
) -> list[tuple[int, str, Q | None]]:
    """Id and name of each device with units to try, and which of its units. ParkedUnitUnknown."""
    units = open_units(alias)
    only: Q | None = None
    if unit_id is not None:
        unit = find_unit(alias, unit_id)
        only = Q(pk=unit.blocked_by_id if is_behind_parked(unit) else unit.pk)
    if device is not None:
        units = units.filter(device__name=device)
    if cause is not None:
        only = Q(code=cause) & (only or Q())
    if only is not None:
        units = units.filter(only)
    found = dict.fromkeys(units.values_list("device_id", "device__name"))
    return [(device_id, name, only) for device_id, name in found]


def is_behind_parked(unit: ParkedUnit) -> bool:
    return unit.blocked_by is not None and unit.blocked_by.state == PARKED


def ignore(alias: str, unit_id: int, *, reason: str, ignored_by: str = "") -> list[DeviceReport]:
    """Set a parked unit aside for good, with a reason; what was received stays as it is. Then try what waited for it.

    Who ignored it, when and why stays with the unit. Units behind it are tried at once and may then be parked for a
    cause of their own. Opens its own transactions; waits for a consumer that is at the device. ParkedUnitUnknown,
    ReasonMissing.
    """
    if not reason.strip():
        raise ReasonMissing(unit_id=unit_id)
    with immediate(alias):
        device_id = find_unit(alias, unit_id).device_id
        Device.objects.using(alias).select_for_update(no_key=True).get(pk=device_id)
        unit = find_unit(alias, unit_id)
        unit.state = ParkedUnit.State.IGNORED
        unit.ended_at = timezone.now()
        unit.ignored_by = ignored_by or conf.alias_settings(alias).device
        unit.ignored_reason = reason.strip()
        unit.save(using=alias, update_fields=["state", "ended_at", "ignored_by", "ignored_reason"])
        mark_ignored(alias, unit.batch_id, unit.unit)
    if not open_units(alias, device_id).exists():
        return []
    report = DeviceReport(unit.device.name)
    retry_device(alias, device_id, report, committed_by=conf.alias_settings(alias).device, only=FREED)
    report.parked_open = open_units(alias, device_id).count()
    return [report]


def accept_baseline(alias: str, unit_id: int, *, reason: str, accepted_by: str = "") -> list[DeviceReport]:
    """Take a parked baseline that differs as the record's next version, with a reason; the server's stays in the
    history. Who took it, when and why stays with the unit. Opens its own transactions. ParkedUnitUnknown,
    ReasonMissing, NotABaseline."""
    if not reason.strip():
        raise ReasonMissing(unit_id=unit_id)
    accepted_by = accepted_by or conf.alias_settings(alias).device
    with immediate(alias):
        device_id = find_unit(alias, unit_id).device_id
        Device.objects.using(alias).select_for_update(no_key=True).get(pk=device_id)
        unit = find_unit(alias, unit_id)
        if unit.code != BASELINE_DIFFERS:
            raise NotABaseline(unit_id=unit_id, code=unit.code)
        unit.accepted_by, unit.accepted_reason = accepted_by, reason.strip()
        unit.save(using=alias, update_fields=["accepted_by", "accepted_reason"])
    return retry_parked(alias, unit_id, committed_by=accepted_by)


def find_unit(alias: str, unit_id: int) -> ParkedUnit:
    units: QuerySet[Any] = ParkedUnit.objects.using(alias).filter(pk=unit_id, state=PARKED)
    unit: ParkedUnit | None = units.select_related("device", "blocked_by").first()
    if unit is None:
        raise ParkedUnitUnknown(unit_id=unit_id, alias=alias)
    return unit
