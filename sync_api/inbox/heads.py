"""Receipts for what is held, and alarms for the operator."""

from __future__ import annotations

from typing import Any

from audit.models import Device
from sync_api.alarms import raise_alarm
from sync_api.models import IncomingBatch, IncomingEpoch
from sync_api.trust.receipts import sign_receipt

__all__ = ["head_receipt", "raise_alarm", "receipt_for"]


def receipt_for(alias: str, device: str, epoch: str, batch: IncomingBatch, kind: str = "held") -> dict[str, Any]:
    """This server's signed word that the chain up to `batch` is held. The same batch gives the same receipt."""
    return sign_receipt(
        alias, kind, device=device, epoch=epoch, number=batch.number, hash_hex=batch.hash, at=batch.received_at
    )


def head_receipt(alias: str, device: Device, epoch: IncomingEpoch) -> dict[str, Any] | None:
    """The receipt for the epoch's head; None when nothing is held."""
    batches = IncomingBatch.objects.using(alias).defer("content", "header")
    batch = batches.filter(epoch=epoch, number=epoch.head_number, hash=epoch.head_hash).first()
    return None if batch is None else receipt_for(alias, device.name, epoch.epoch, batch)
