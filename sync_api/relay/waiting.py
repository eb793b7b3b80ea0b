"""What is to be handed on: on a relay what it carries, on a server what it holds; per device, in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from sync_api.conf import alias_settings
from sync_api.models import CarriedBatch, IncomingBatch, IncomingEpoch
from sync_api.relay.custody import handed_over
from sync_api.wire.format import decode

HELD_STATES = (IncomingBatch.State.HELD, IncomingBatch.State.CONSUMED)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to: an installation's name and role, and per device and epoch the head that it says it holds."""

    name: str
    role: str
    heads: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Parcel:
    """One batch to hand on, without its bytes. `carried` is its row on a relay; on a server it is None."""

    device: str
    epoch: str
    number: int
    hash: str
    previous_hash: str
    lines: int
    size: int
    key: int
    carried: CarriedBatch | None


def waiting_devices(alias: str) -> list[str]:
    """The devices of which something could be handed on, by name."""
    if alias_settings(alias).role == "server":
        held = IncomingEpoch.objects.using(alias).filter(head_number__gt=0).order_by("device__name")
        return list(held.values_list("device__name", flat=True).distinct())
    carried = CarriedBatch.objects.using(alias).order_by("device")
    return list(carried.values_list("device", flat=True).distinct())


def waiting_parcels(alias: str, device: str, target: Target) -> list[list[Parcel]]:
    """Per epoch, in the order in which the epochs began: what the target lacks, in order. Reads only."""
    if alias_settings(alias).role == "server":
        return _held_parcels(alias, device, target)
    return _carried_parcels(alias, device, target)


def parcels_between(alias: str, parcel: Parcel, first: int) -> list[Parcel]:
    """What is here of the same epoch from `first` up to the batch before `parcel`, whatever its state."""
    if parcel.carried is None:
        held = _held_batches(alias).filter(epoch__device__name=parcel.device, epoch__epoch=parcel.epoch)
        return [held_parcel(batch) for batch in held.filter(number__range=(first, parcel.number - 1))]
    batches = CarriedBatch.objects.using(alias).filter(device=parcel.device, epoch=parcel.epoch).defer("content")
    between = batches.filter(number__range=(first, parcel.number - 1)).order_by("number", "pk")
    return [carried_parcel(batch) for batch in between]


def content_of(alias: str, parcel: Parcel) -> bytes:
    """The very bytes."""
    batches: QuerySet[Any] = (IncomingBatch if parcel.carried is None else CarriedBatch).objects.using(alias)
    return bytes(batches.values_list("content", flat=True).get(pk=parcel.key))


def _carried_parcels(alias: str, device: str, target: Target) -> list[list[Parcel]]:
    batches = CarriedBatch.objects.using(alias).filter(device=device).defer("content").order_by("number", "pk")
    if target.role != "server":
        batches = batches.exclude(state=CarriedBatch.State.DELIVERED).exclude(handed_to=target.name)
    by_epoch: dict[str, list[Parcel]] = {}
    for batch in batches:
        is_there = batch.number <= target.heads.get((device, batch.epoch), 0)
        if target.role != "server" or not is_there or batch.state != CarriedBatch.State.DELIVERED:
            by_epoch.setdefault(batch.epoch, []).append(carried_parcel(batch))
    return [by_epoch[epoch] for epoch in epochs_in_order(alias, device, by_epoch)]


def _held_parcels(alias: str, device: str, target: Target) -> list[list[Parcel]]:
    given = handed_over(alias, device, target.name) if target.role != "server" else set()
    waiting = []
    for epoch in IncomingEpoch.objects.using(alias).filter(device__name=device).order_by("ordinal"):
        head = target.heads.get((device, epoch.epoch), 0)
        batches = _held_batches(alias).filter(epoch=epoch, number__gt=head)
        waiting.append([held_parcel(batch) for batch in batches if batch.hash not in given])
    return [parcels for parcels in waiting if parcels]


def _held_batches(alias: str) -> QuerySet[IncomingBatch]:
    batches = IncomingBatch.objects.using(alias).filter(state__in=HELD_STATES).select_related("epoch__device")
    return batches.defer("content", "header").order_by("number")


def carried_parcel(batch: CarriedBatch) -> Parcel:
    return Parcel(
        device=batch.device,
        epoch=batch.epoch,
        number=batch.number,
        hash=batch.hash,
        previous_hash=batch.previous_hash,
        lines=batch.lines,
        size=batch.size,
        key=batch.pk,
        carried=batch,
    )


def held_parcel(batch: IncomingBatch) -> Parcel:
    return Parcel(
        device=batch.epoch.device.name,
        epoch=batch.epoch.epoch,
        number=batch.number,
        hash=batch.hash,
        previous_hash=batch.previous_hash,
        lines=batch.lines,
        size=batch.size,
        key=batch.pk,
        carried=None,
    )


def epochs_in_order(alias: str, device: str, epochs: Iterable[str]) -> list[str]:
    """Each epoch after the one that it continues; those without a link by the time in their first batch."""
    names = list(epochs)
    if len(names) < 2:
        return names
    headers = {epoch: _a_header(alias, device, epoch) for epoch in names}
    left = sorted(names, key=lambda epoch: int(headers[epoch]["time"]))
    ordered: list[str] = []
    while left:
        after = (epoch for epoch in left if headers[epoch]["began"].get("epoch") not in left)
        ordered.append(next(after, left[0]))
        left.remove(ordered[-1])
    return ordered


def _a_header(alias: str, device: str, epoch: str) -> dict[str, Any]:
    batches = CarriedBatch.objects.using(alias).filter(device=device, epoch=epoch).order_by("number", "pk")
    return decode(bytes(batches.values_list("content", flat=True)[0])).header
