"""A server's receipts: its signed word how far it holds and has applied each device's batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import F, Q

from sync_api.conf import alias_settings
from sync_api.finalizing.outcomes import preserved_facts
from sync_api.models import IncomingBatch, IncomingEpoch, ParkedUnit
from sync_api.wire.keys import device_keys
from sync_api.wire.statements import sign_statement


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


def receipts_for(
    alias: str,
    devices: Iterable[str] | None = None,
    *,
    kinds: Iterable[str] = ("held", "applied"),
    epoch: str = "",
) -> list[dict[str, Any]]:
    """Receipts of every epoch (or of one) of these devices (None: of all), in the order of device and epoch."""
    epochs = IncomingEpoch.objects.using(alias).select_related("device").filter(head_number__gt=0)
    if devices is not None:
        epochs = epochs.filter(device__name__in=list(devices))
    if epoch:
        epochs = epochs.filter(epoch=epoch)
    found = list(epochs.order_by("device__name", "ordinal"))
    batches = batches_at(alias, found)
    wanted = set(kinds)
    receipts: list[dict[str, Any]] = []
    parked = parked_counts(alias, found) if "applied" in wanted else Counter[int]()
    for one in found:
        head = batches.get((one.pk, one.head_number))
        if "held" in wanted and head is not None:
            receipts.append(batch_receipt(alias, "held", one, head, head.received_at))
        last = batches.get((one.pk, one.consumed_number))
        if "applied" in wanted and last is not None:
            more = {"parked": parked[one.device_id], "preserved": preserved_facts(alias, one)}
            receipts.append(batch_receipt(alias, "applied", one, last, last.consumed_at or last.received_at, **more))
    return receipts


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
