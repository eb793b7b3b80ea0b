"""The mirror's era of a batch's units: its device numbers eras, the server knows when each of them ended."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import Any, NamedTuple

from django.db.models import QuerySet

from audit.mirror.columns import NOW
from sync_api.models import IncomingBatch, IncomingEpoch, IncomingEra, ParkedUnit


class Place(NamedTuple):
    """The era that a batch's units belong to, and the preserved eras that their records may come from, latest first.

    `overlaps`: its device goes on from an older state than is here (restored from a backup), and may tell again what
    it told before.
    """

    era: str
    earlier: tuple[str, ...]
    overlaps: bool = False


def ordinal_of(batch: IncomingBatch) -> int:
    """The era's number on the device."""
    return int(batch.header.get("era", 0))


def place_of(alias: str, batch: IncomingBatch) -> Place:
    """Units that are released late land in their own era, whatever ended since."""
    epochs = continued_epochs(alias, batch.epoch)
    rows = IncomingEra.objects.using(alias).filter(epoch__in=epochs).order_by("-epoch__ordinal", "-ordinal")
    overlaps = any(is_overlapping(after, before) for after, before in pairwise(epochs))
    own = ordinal_of(batch)
    era, earlier = batch.epoch.era, []
    for epoch_id, ordinal, text, preserved in rows.values_list("epoch_id", "ordinal", "era", "preserved"):
        is_own_epoch = epoch_id == batch.epoch_id
        if is_own_epoch and ordinal == own:
            era = text
        elif is_own_epoch and ordinal > own:
            continue
        earlier += [text, *(told["era"] for told in reversed(preserved or []) if told["era"])]
    return Place(era, tuple(text for text in dict.fromkeys(earlier) if text not in (NOW, era)), overlaps)


def continued_epochs(alias: str, epoch: IncomingEpoch) -> list[IncomingEpoch]:
    """The epoch, and those before it from where its records began, the latest first.

    A device's records go on from one epoch to the next. An epoch that never came here, as it was refused, is passed
    over; one that the device itself no longer knows of, as it was restored from an older copy, counts: its records
    are here.
    """
    if epoch.began.get("kind") != "continues":
        return [epoch]
    earlier = list(
        IncomingEpoch.objects.using(alias)
        .filter(device=epoch.device_id, ordinal__lt=epoch.ordinal)
        .order_by("-ordinal")
    )
    known = {one.epoch: place for place, one in enumerate(earlier)}
    place = -1
    first = epoch
    while place + 1 < len(earlier) and first.began.get("kind") == "continues":
        place = max(known.get(first.began["epoch"], place + 1), place + 1)
        first = earlier[place]
    return [epoch, *earlier[: place + 1]]


def is_overlapping(after: IncomingEpoch, before: IncomingEpoch) -> bool:
    """Whether the device went on from less than what is here of the epoch before."""
    began = after.began
    return began.get("kind") == "continues" and (began["epoch"], began["number"]) != (before.epoch, before.head_number)


def units_of_eras(
    alias: str, units: QuerySet[ParkedUnit], device_id: int, eras: Collection[str]
) -> QuerySet[ParkedUnit] | None:
    """Those of the device's parked `units` that are of these eras; None when there are no units at all."""
    columns = ("batch_id", "batch__epoch_id", "batch__epoch__era", "batch__header__era")
    batches: list[tuple[Any, ...]] = list(units.order_by().values_list(*columns).distinct())
    if not batches:
        return None
    rows = IncomingEra.objects.using(alias).filter(epoch__device=device_id).values_list("epoch_id", "ordinal", "era")
    texts = {(epoch_id, ordinal): text for epoch_id, ordinal, text in rows}
    others = [pk for pk, epoch_id, text, ordinal in batches if texts.get((epoch_id, ordinal or 0), text) not in eras]
    return units.exclude(batch__in=others) if others else units
