"""A server's receipts: its signed word how far it holds and has applied each device's batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import F, Q

from audit.models import Device
from sync_api.conf import alias_settings
from sync_api.finalizing.outcomes import preserved_facts
from sync_api.models import IncomingBatch, IncomingEpoch, IncomingEra, ParkedUnit
from sync_api.wire.keys import device_keys
from sync_api.wire.statements import sign_statement

LAST_APPLIED = f"""
    SELECT b.id, b.epoch_id, b.number, b.hash, b.received_at, b.consumed_at,
        (SELECT COUNT(*) FROM {ParkedUnit._meta.db_table} p WHERE p.device_id = e.device_id AND p.state = 'parked')
            AS parked,
        (SELECT COUNT(*) FROM {IncomingEra._meta.db_table} m WHERE m.epoch_id = e.id AND m.preserved IS NOT NULL)
            AS marks
    FROM {IncomingEpoch._meta.db_table} e
    JOIN {Device._meta.db_table} d ON d.id = e.device_id
    JOIN {IncomingBatch._meta.db_table} b
        ON b.epoch_id = e.id AND b.number = e.consumed_number AND b.state IN ('held', 'consumed')
    WHERE d.name = %s AND e.epoch = %s
"""


def sign_receipt(
    alias: str, kind: str, *, device: str, epoch: str, number: int, hash_hex: str, at: datetime, **more: Any
) -> dict[str, Any]:
    """This server's signed receipt. The same facts give the same receipt."""
    server = alias_settings(alias).device
    facts = {
        "kind": kind,
        "device": device,
        "epoch": epoch,
        "number": number,
        "hash": hash_hex,
        "signer": server,
        "at": at.isoformat(),
        **more,
    }
    return sign_statement(facts, device_keys(server))


def receipts_for(alias: str, devices: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """`held` and `applied` of every epoch of these devices (None: of all), in the order of device and epoch."""
    epochs = IncomingEpoch.objects.using(alias).select_related("device").filter(head_number__gt=0)
    if devices is not None:
        epochs = epochs.filter(device__name__in=list(devices))
    found = list(epochs.order_by("device__name", "ordinal"))
    batches, parked = batches_at(alias, found), parked_counts(alias, found)
    receipts: list[dict[str, Any]] = []
    for epoch in found:
        head = batches.get((epoch.pk, epoch.head_number))
        if head is not None:
            receipts.append(batch_receipt(alias, "held", epoch, head, head.received_at))
        last = batches.get((epoch.pk, epoch.consumed_number))
        if last is not None:
            preserved = preserved_facts(alias, epoch)
            receipts.append(applied_by(alias, epoch, last, parked=parked[epoch.device_id], preserved=preserved))
    return receipts


def applied_receipt(alias: str, device: str, epoch: str) -> list[dict[str, Any]]:
    """The `applied` of one epoch; none while nothing of it is applied. One statement, for every answer to a batch
    asks for it; and one for marks, where there are any."""
    for last in IncomingBatch.objects.using(alias).raw(LAST_APPLIED, [device, epoch]):
        known = IncomingEpoch(pk=last.epoch_id, epoch=epoch, device=Device(name=device))
        preserved = preserved_facts(alias, known) if last.marks else []  # type: ignore[attr-defined]
        return [applied_by(alias, known, last, parked=last.parked, preserved=preserved)]  # type: ignore[attr-defined]
    return []


def applied_by(
    alias: str, epoch: IncomingEpoch, last: IncomingBatch, *, parked: int, preserved: list[dict[str, Any]]
) -> dict[str, Any]:
    at = last.consumed_at or last.received_at
    return batch_receipt(alias, "applied", epoch, last, at, parked=parked, preserved=preserved)


def batch_receipt(
    alias: str, kind: str, epoch: IncomingEpoch, batch: IncomingBatch, at: datetime, **more: Any
) -> dict[str, Any]:
    return sign_receipt(
        alias,
        kind,
        device=epoch.device.name,
        epoch=epoch.epoch,
        number=batch.number,
        hash_hex=batch.hash,
        at=at,
        **more,
    )


def batches_at(alias: str, epochs: list[IncomingEpoch]) -> dict[tuple[int, int], IncomingBatch]:
    """The batches at each epoch's head and at its last consumed number, in one statement."""
    batches = IncomingBatch.objects.using(alias).filter(epoch__in=epochs, state__in=["held", "consumed"])
    ends = Q(number=F("epoch__head_number")) | Q(number=F("epoch__consumed_number"))
    found = batches.filter(ends).defer("content", "header").order_by()
    return {(batch.epoch_id, batch.number): batch for batch in found}


def parked_counts(alias: str, epochs: list[IncomingEpoch]) -> Counter[int]:
    """Open parked units by device: an `applied` receipt says how much of it is set aside."""
    devices = {epoch.device_id for epoch in epochs}
    units = ParkedUnit.objects.using(alias).filter(device__in=devices, state=ParkedUnit.State.PARKED)
    return Counter(units.values_list("device_id", flat=True))
