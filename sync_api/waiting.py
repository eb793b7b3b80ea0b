"""Which recorded transactions wait on this device."""

from __future__ import annotations

from datetime import datetime

from django.db import connections
from django.db.models import QuerySet, Sum

from sync_api.conf import alias_settings
from sync_api.models import LocalDevice, OutgoingBatch, OutgoingTransaction

HELD = "held"
REFUSED = "refused"
"""In place of a receipt: the server's code for batches of an earlier epoch that it will not take. They stay here."""

EPOCH_ENDED = frozenset({"batch_fork", "device_revoked", "epoch_closed", "sequence_mismatch", "epoch_unknown"})
"""Refusals that end an epoch: for an earlier one the device goes on, its present one needs a new enrolment."""


def unsettled(batches: QuerySet[OutgoingBatch]) -> QuerySet[OutgoingBatch]:
    """Those of the batches that the home server has neither receipted nor refused for ever."""
    return batches.exclude(receipts__has_any_keys=[HELD, REFUSED])


def waiting_transactions(alias: str) -> int:
    """Transactions captured here that no server has acknowledged."""
    name = alias_settings(alias).device
    sealed = unsettled(OutgoingBatch.objects.using(alias).filter(device__name=name))
    return unsealed_transactions(alias, name) + (sealed.aggregate(lines=Sum("lines"))["lines"] or 0)


def unsealed_transactions(alias: str, name: str) -> int:
    return unsealed(alias, name).count()


def unsealed(alias: str, name: str) -> QuerySet[OutgoingTransaction]:
    """What is captured and not sealed yet. On SQLite, where ids are in the order of commits, only the end of the
    table is looked at."""
    rows = OutgoingTransaction.objects.using(alias).filter(device=name, batch_number=None)
    if connections[alias].vendor != "sqlite":
        return rows
    sealed_until = LocalDevice.objects.using(alias).filter(name=name).values_list("sealed_until", flat=True).first()
    return rows.filter(pk__gt=sealed_until or 0)


def oldest_pending_at(alias: str, device: LocalDevice) -> datetime | None:
    """When the oldest transaction that no server has acknowledged was made, by this device's clock."""
    first = unsettled(OutgoingBatch.objects.using(alias).filter(device=device)).order_by("id").values_list("first_id")
    made = OutgoingTransaction.objects.using(alias).filter(pk=first[:1]).values_list("captured_at", flat=True).first()
    if made is None:
        made = unsealed(alias, device.name).order_by("pk").values_list("captured_at", flat=True).first()
    return made
