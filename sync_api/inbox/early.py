"""Batches that came before the ones ahead of them: another road was slower."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Count, Sum
from django.utils import timezone

from sync_api import conf
from sync_api.exceptions import EarlyLimit
from sync_api.inbox.delivery import Delivery
from sync_api.inbox.heads import raise_alarm
from sync_api.inbox.rows import check_lines
from sync_api.inbox.stored import new_batch
from sync_api.models import IncomingBatch, IncomingEpoch

State = IncomingBatch.State


def keep_early(alias: str, delivery: Delivery, epoch: IncomingEpoch) -> None:
    """Keep a batch behind a gap, within limits of number, bytes and age. Call inside a transaction.

    Two different ones for one number are both kept, with an alarm; which is wrong shows when the gap closes.
    """
    header = delivery.header
    check_lines(alias, header, delivery.envelope.lines, hash_hex=delivery.hash)
    drop_old(alias, delivery)
    _check_limits(alias, delivery, expected=epoch.head_number + 1)
    if waiting(alias, epoch, header.number):
        raise_alarm(
            alias,
            delivery.device,
            "early_conflict",
            f"Two different batches {header.number} of device '{delivery.device.name}' wait behind a gap. "
            "One of them will be refused when the gap closes; nothing is to be done until then.",
            {"epoch": epoch.epoch, "number": header.number},
        )
    new_batch(alias, delivery, epoch, State.EARLY)


def waiting(alias: str, epoch: IncomingEpoch, number: int) -> list[IncomingBatch]:
    """The early batches for one number, in order of arrival."""
    batches = IncomingBatch.objects.using(alias).filter(epoch=epoch, number=number, state=State.EARLY)
    return list(batches.order_by("pk"))


def drop_old(alias: str, delivery: Delivery) -> None:
    """Early batches past their age go: no receipt was given, so the device still has them."""
    oldest = timezone.now() - timedelta(days=conf.limit("SYNC_EARLY_AGE_DAYS_MAX"))
    early = IncomingBatch.objects.using(alias).filter(epoch__device=delivery.device, state=State.EARLY)
    early.filter(received_at__lt=oldest).delete()


def _check_limits(alias: str, delivery: Delivery, *, expected: int) -> None:
    early = IncomingBatch.objects.using(alias).filter(epoch__device=delivery.device, state=State.EARLY)
    total = early.aggregate(batches=Count("pk"), size=Sum("size"))
    if total["batches"] >= conf.limit("SYNC_EARLY_BATCHES_MAX"):
        raise EarlyLimit(device=delivery.device.name, expected=expected, limit="SYNC_EARLY_BATCHES_MAX")
    if (total["size"] or 0) + len(delivery.content) > conf.limit("SYNC_EARLY_BYTES_MAX"):
        raise EarlyLimit(device=delivery.device.name, expected=expected, limit="SYNC_EARLY_BYTES_MAX")
