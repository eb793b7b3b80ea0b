"""Consumes what arrived: device by device, batch by batch, one transaction per batch."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextlib import closing
from datetime import datetime

from django.db.models import Sum
from django.utils import timezone

from audit.models import Device
from sync_api import conf
from sync_api.collector import collector_paused
from sync_api.deserializer.ahead import Ahead
from sync_api.deserializer.careful import settle_carefully
from sync_api.deserializer.claim import Bound, claimed, devices_with_work, next_batch, open_epoch
from sync_api.deserializer.decode import Decoded
from sync_api.deserializer.emptied import mark_erased
from sync_api.deserializer.ending import end_era, without_marks
from sync_api.deserializer.lines import Line, mark_consumed, pending_lines
from sync_api.deserializer.parking import held_records, park, park_late
from sync_api.deserializer.report import ConsumeReport, DeviceReport, sentence_of
from sync_api.deserializer.retry import open_units, retry_device
from sync_api.deserializer.settle import work_of
from sync_api.deserializer.unsealing import unseal
from sync_api.exceptions import DeviceNotRegistered
from sync_api.models import IncomingBatch, IncomingEpoch

logger = logging.getLogger(__name__)


def consume(
    alias: str,
    device: Device | str | None = None,
    *,
    retry: bool = True,
    until: Bound | None = None,
    committed_by: str = "",
    progress: Callable[[int], None] | None = None,
) -> ConsumeReport:
    """Apply every received batch of `device` (None: of all devices) to the mirror; returns what became of it.

    First what is parked is tried again (unless `retry` is False). Each batch is one transaction of its own,
    with all marks and parked units; interrupted anywhere, the next run goes on where this one stopped. Devices
    take turns of SYNC_CONSUME_TURN_BATCHES, so that a long backlog does not keep the others waiting. A device
    that another consumer is at is left to it, and one device's trouble never delays another's: it is in the
    report. `progress` is told the number of lines after each batch. DeviceNotRegistered if there is no device
    of that name.
    """
    committed_by = committed_by or conf.alias_settings(alias).device
    chosen = devices_with_work(alias) if device is None else [find_device(alias, device).pk]
    names = dict(Device.objects.using(alias).filter(pk__in=chosen).values_list("pk", "name"))
    reports = {device_id: DeviceReport(names[device_id]) for device_id in chosen}
    turns = deque(chosen)
    retried: set[int] = set()
    with closing(Ahead(alias)) as ahead:
        while turns:
            device_id = turns.popleft()
            report = reports[device_id]
            try:
                if retry and device_id not in retried:
                    retried.add(device_id)
                    retry_device(alias, device_id, report, committed_by=committed_by)
                if consume_turn(
                    alias, device_id, report, ahead, until=until, committed_by=committed_by, progress=progress
                ):
                    turns.append(device_id)
                else:
                    report.parked_open = open_units(alias, device_id).count()
            except Exception as error:  # whatever it is, it must not delay the other devices; the report carries it
                report.error = sentence_of(error)
                facts = {"device": report.device, "kind": type(error).__name__}
                logger.error("consuming a device stopped", extra=facts)
    return ConsumeReport(list(reports.values()))


def consume_turn(
    alias: str,
    device_id: int,
    report: DeviceReport,
    ahead: Ahead,
    *,
    until: Bound | None,
    committed_by: str,
    progress: Callable[[int], None] | None,
) -> bool:
    """Consume the device's next batches, as many as a turn has; whether there may be more."""
    for _ in range(int(conf.limit("SYNC_CONSUME_TURN_BATCHES"))):
        with claimed(alias, device_id) as device:
            if device is None:
                report.is_busy = True
                return False
            batch = next_batch(alias, device_id)
            if batch is None or is_beyond(until, batch):
                return False
            batch.epoch.device = device
            with collector_paused():
                lines = consume_batch(alias, device, batch, report, ahead, until=until, committed_by=committed_by)
        if progress is not None:
            progress(lines)
        if until is not None and until[:2] == (batch.epoch.ordinal, batch.number):
            return False
    return True


def consume_batch(
    alias: str,
    device: Device,
    batch: IncomingBatch,
    report: DeviceReport,
    ahead: Ahead,
    *,
    until: Bound | None,
    committed_by: str,
) -> int:
    """Apply one batch, or its units up to `until`; the number of lines. Call inside the device's claim."""
    now = timezone.now()
    epoch = batch.epoch
    if not batch.is_late:
        report.add(open_epoch(alias, device, epoch, committed_by=committed_by, now=now))
    is_last = until is not None and until[:2] == (epoch.ordinal, batch.number)
    sequence = until.sequence if until is not None and is_last else None
    ready = ahead.take(batch) if until is None else None
    if ready is None:
        unseal(alias, batch)
    lines = pending_lines(alias, batch.pk, until=sequence) if ready is None else ready.lines
    if until is None:
        ahead.look(batch)
    if batch.is_late:
        report.parked += park_late(alias, device, batch, lines, now=now)
    else:
        decoded = None if ready is None else ready.decoded
        apply_lines(alias, device, batch, lines, decoded, report, committed_by=committed_by, now=now)
    mark_consumed(alias, batch.pk, now=now, until=sequence)
    if sequence is None or batch.first_sequence + batch.lines - 1 <= sequence:
        IncomingBatch.objects.using(alias).filter(pk=batch.pk).update(
            state=IncomingBatch.State.CONSUMED, consumed_at=now
        )
        IncomingEpoch.objects.using(alias).filter(pk=epoch.pk).update(consumed_number=batch.number)
        report.batches += 1
    report.transactions += len(lines)
    return len(lines)


def apply_lines(
    alias: str,
    device: Device,
    batch: IncomingBatch,
    lines: list[Line],
    decoded: Decoded | None,
    report: DeviceReport,
    *,
    committed_by: str,
    now: datetime,
) -> None:
    """Apply the units that can be applied and set the others aside. Call inside the device's claim."""
    work = work_of(alias, device, batch, committed_by=committed_by)
    changing, marks = without_marks(lines)
    settled = settle_carefully(work, changing, held_records(alias, batch, (work.era, *work.earlier)), decoded)
    park(alias, device, batch, settled.waiting, settled.units, now=now)
    mark_erased(alias, batch, changing)
    report.parked += len(settled.waiting)
    report.add(settled.changes)
    for mark in marks:
        ended = end_era(work, batch, mark, now=now)
        park(alias, device, batch, ended.waiting, ended.units, now=now)
        report.parked += len(ended.waiting)
        report.add(ended.changes)


def is_beyond(until: Bound | None, batch: IncomingBatch) -> bool:
    return until is not None and (batch.epoch.ordinal, batch.number) > until[:2]


def pending_count(alias: str, device: Device | str | None = None) -> int:
    """Lines of the batches that a run would consume now."""
    epochs = IncomingEpoch.objects.using(alias)
    if device is not None:
        epochs = epochs.filter(device=find_device(alias, device))
    held = IncomingBatch.objects.using(alias).filter(epoch__in=epochs, state=IncomingBatch.State.HELD)
    return held.aggregate(lines=Sum("lines"))["lines"] or 0


def find_device(alias: str, device: Device | str) -> Device:
    name = device.name if isinstance(device, Device) else device
    found = Device.objects.using(alias).filter(name=name).first()
    if found is None:
        raise DeviceNotRegistered(device=name, alias=alias)
    return found
