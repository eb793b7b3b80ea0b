"""Receipts for what is held, and alarms for the operator."""

from __future__ import annotations

from typing import Any

from django.db.models import F
from django.utils import timezone

from audit.models import Device
from sync_api.conf import alias_settings
from sync_api.models import Alarm, IncomingBatch, IncomingEpoch
from sync_api.wire.certificates import RECEIPT, signed
from sync_api.wire.keys import device_keys


def receipt_for(alias: str, device: str, epoch: str, batch: IncomingBatch, kind: str = "held") -> dict[str, Any]:
    """This server's signed word that the chain up to `batch` is held. The same batch gives the same receipt."""
    server = alias_settings(alias).device
    facts = {
        "kind": kind,
        "device": device,
        "epoch": epoch,
        "number": batch.number,
        "hash": batch.hash,
        "signer": server,
        "at": batch.received_at.isoformat(),
    }
    return signed(RECEIPT, facts, device_keys(server))


def head_receipt(alias: str, device: Device, epoch: IncomingEpoch) -> dict[str, Any] | None:
    """The receipt for the epoch's head; None when nothing is held."""
    batches = IncomingBatch.objects.using(alias).defer("content", "header")
    batch = batches.filter(epoch=epoch, number=epoch.head_number, hash=epoch.head_hash).first()
    return None if batch is None else receipt_for(alias, device.name, epoch.epoch, batch)


def raise_alarm(alias: str, device: Device, code: str, text: str, facts: dict[str, Any]) -> None:
    """Tell the operator; the same open alarm only counts again. Call inside a transaction."""
    now = timezone.now()
    alarms = Alarm.objects.using(alias)
    again = alarms.filter(device=device, code=code, facts=facts, resolved_at=None)
    if not again.update(times=F("times") + 1, last_raised_at=now):
        alarms.create(device=device, code=code, text=text, facts=facts, raised_at=now, last_raised_at=now)
