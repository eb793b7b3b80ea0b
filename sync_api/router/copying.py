"""From one database of this process to another: sealed as for a push, accepted as from the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Max, QuerySet

from sync_api.conf import alias_settings
from sync_api.exceptions import (
    FilterSkipsEarlier,
    FilterSplitsBatch,
    FilterSplitsUnit,
    NoLocalDevice,
    SameDatabaseAlias,
)
from sync_api.inbox import accept
from sync_api.models import LocalDevice, OutgoingBatch, OutgoingTransaction
from sync_api.router.enrolling import enrol_locally, require_server
from sync_api.router.picking import is_narrowed, picked_by
from sync_api.sealing import seal
from sync_api.transactions import immediate


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What is now in the other database's inbox that was not acknowledged before."""

    device: str
    batches: int
    transactions: int


def copy(queryset: QuerySet[Any], target: str) -> CopyReport:
    """Seal and hand over the transactions of `queryset`; see the queryset's method for promise and errors."""
    source = queryset.db
    if source == target:
        raise SameDatabaseAlias(alias=source)
    require_server(target)
    name = alias_settings(source).device
    device = LocalDevice.objects.using(source).filter(name=name).first()
    if device is None:
        raise NoLocalDevice(alias=source)
    pending = OutgoingTransaction.objects.using(source).filter(device=name, is_consumed_server=False)
    chosen = pending.filter(pk__in=picked_by(queryset)) if is_narrowed(queryset) else pending
    check_order(pending, chosen)
    if not chosen.exists():
        return CopyReport(name, 0, 0)
    enrol_locally(source, device, target)
    check_batches(pending, chosen)
    wanted = set(chosen.values_list("pk", flat=True)) if pending.exclude(pk__in=chosen.values("pk")).exists() else None
    seal(source, name)
    batches = batches_of(pending if wanted is None else pending.filter(pk__in=wanted))
    lines = sum(hand_over(source, device, epoch, number, target) for epoch, number in batches)
    return CopyReport(name, len(batches), lines)


def check_order(pending: QuerySet[Any], chosen: QuerySet[Any]) -> None:
    """Refuse a choice that takes a unit in part, or a unit before which another one waits."""
    left = pending.exclude(pk__in=chosen.values("pk"))
    if not left.exists() or not chosen.exists():
        return
    split = left.filter(unit__in=chosen.order_by().values("unit")).order_by("id").first()
    if split is not None:
        raise FilterSplitsUnit(tx_name=split.tx_name, tx_pk=split.tx_pk)
    ends = ("unit", "last")
    first_left = left.values("unit").annotate(last=Max("id")).order_by("last").values(*ends)[0]
    last_chosen = chosen.values("unit").annotate(last=Max("id")).order_by("-last").values(*ends)[0]
    if first_left["last"] < last_chosen["last"]:
        skipped = left.filter(pk=first_left["last"]).get()
        raise FilterSkipsEarlier(tx_name=skipped.tx_name, tx_pk=skipped.tx_pk)


def check_batches(pending: QuerySet[Any], chosen: QuerySet[Any]) -> None:
    """Refuse a choice that ends inside a batch: a sealed one, or the one that would be sealed now."""
    left = pending.exclude(pk__in=chosen.values("pk"))
    unsealed = left.filter(batch_number=None)
    if unsealed.exists() and chosen.filter(batch_number=None).exists():
        raise FilterSplitsBatch(number=None, left=unsealed.count())
    for epoch, number in left.exclude(batch_number=None).values_list("batch_epoch", "batch_number").distinct():
        inside = chosen.filter(batch_epoch=epoch, batch_number=number)
        if inside.exists():
            raise FilterSplitsBatch(number=number, left=left.filter(batch_epoch=epoch, batch_number=number).count())


def batches_of(chosen: QuerySet[Any]) -> list[tuple[str, int]]:
    """(epoch, number) of the chosen transactions' batches, in the order in which they were sealed."""
    found = chosen.exclude(batch_number=None).order_by().values_list("batch_epoch", "batch_number")
    ends = found.annotate(first=Max("id")).order_by("first")
    return [(epoch, number) for epoch, number, _ in ends]


def hand_over(source: str, device: LocalDevice, epoch: str, number: int, target: str) -> int:
    """Give one sealed batch to the other database, and mark it here once it is held there; its lines."""
    batches = OutgoingBatch.objects.using(source).filter(device=device, epoch=epoch)
    batch = batches.get(number=number)
    accepted = accept(target, bytes(batch.content), handed_over_by=device.name)
    if accepted.state == "early":
        for earlier in batches.filter(number__gte=accepted.expected, number__lt=number).order_by("number"):
            accept(target, bytes(earlier.content), handed_over_by=device.name)
        accepted = accept(target, bytes(batch.content), handed_over_by=device.name)
    if accepted.state == "early":
        return 0
    mark_held(source, device, batch, accepted.receipt)
    return batch.lines


def mark_held(source: str, device: LocalDevice, batch: OutgoingBatch, receipt: dict[str, Any] | None) -> None:
    """The other database's receipt, noted on the batch and its transactions. Opens its own transaction."""
    with immediate(source):
        OutgoingTransaction.objects.using(source).filter(
            id__range=(batch.first_id, batch.last_id),
            device=device.name,
            batch_epoch=batch.epoch,
            batch_number=batch.number,
        ).update(is_consumed_server=True)
        stored = OutgoingBatch.objects.using(source).filter(pk=batch.pk)
        known = stored.select_for_update().values_list("receipts", flat=True).get()
        stored.update(receipts={**known, "held": receipt})
        LocalDevice.objects.using(source).filter(
            pk=device.pk, epoch=batch.epoch, acknowledged_number__lt=batch.number
        ).update(acknowledged_number=batch.number)
