"""What waits on this device, for people and programs."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Sum

from sync_api.conf import alias_settings
from sync_api.models import LocalDevice, OutgoingBatch
from sync_api.waiting import HELD, REFUSED, oldest_pending_at, unsealed_transactions, unsettled, waiting_transactions

__all__ = [
    "HELD",
    "REFUSED",
    "device_status",
    "oldest_pending_at",
    "unsealed_transactions",
    "unsettled",
    "waiting_transactions",
]


def device_status(alias: str) -> dict[str, Any] | None:
    """Facts about this installation as a device; None where nothing is captured."""
    name = alias_settings(alias).device
    device = LocalDevice.objects.using(alias).filter(name=name).first()
    if device is None:
        return None
    unsent = unsettled(OutgoingBatch.objects.using(alias).filter(device=device))
    totals = unsent.aggregate(batches=Count("pk"), lines=Sum("lines"))
    return {
        "device": device.name,
        "server": device.server_name or None,
        "url": device.server_url or None,
        "epoch": device.epoch,
        "sealed_batches": device.head_number,
        "acknowledged_batches": device.acknowledged_number,
        "applied_batches": device.applied_number,
        "unsealed_transactions": unsealed_transactions(alias, name),
        "unsent_batches": totals["batches"],
        "unsent_transactions": totals["lines"] or 0,
    }
