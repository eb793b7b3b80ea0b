"""What waits on this device."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, QuerySet, Sum

from sync_api.conf import alias_settings
from sync_api.models import LocalDevice, OutgoingBatch, OutgoingTransaction

HELD = "held"
REFUSED = "refused"
"""In place of a receipt: the server's code for batches of an earlier epoch that it will not take. They stay here."""


def unsettled(batches: QuerySet[OutgoingBatch]) -> QuerySet[OutgoingBatch]:
    """Those of the batches that the home server has neither receipted nor refused for ever."""
    return batches.exclude(receipts__has_any_keys=[HELD, REFUSED])


def waiting_transactions(alias: str) -> int:
    """Transactions captured here that no server has acknowledged."""
    name = alias_settings(alias).device
    sealed = unsettled(OutgoingBatch.objects.using(alias).filter(device__name=name))
    return unsealed_transactions(alias, name) + (sealed.aggregate(lines=Sum("lines"))["lines"] or 0)


def unsealed_transactions(alias: str, name: str) -> int:
    rows = OutgoingTransaction.objects.using(alias).filter(device=name, batch_number=None)
    return rows.count()


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
