"""Finds or begins the epoch that a batch belongs to."""

from __future__ import annotations

from audit.models import Device
from sync_api.exceptions import EpochClosed, EpochUnknown
from sync_api.models import IncomingBatch, IncomingEpoch
from sync_api.wire.header import Header


def epoch_of(alias: str, device: Device, header: Header, batch_hash: str) -> IncomingEpoch:
    """The batch's epoch, begun if this is its first batch here. Call inside a transaction that holds the device.

    EpochClosed when a later epoch has begun (a batch that is already here is no news and passes); EpochUnknown when
    a new epoch continues something that has not arrived.
    """
    epochs = IncomingEpoch.objects.using(alias).filter(device=device).order_by("-ordinal")
    newest = epochs.first()
    known = epochs.filter(epoch=header.epoch).first()
    if known is not None:
        if known != newest and not is_stored(alias, known, header.number, batch_hash):
            raise EpochClosed(device=device.name)
        return known
    if header.began["kind"] == "continues":
        check_continued(epochs.filter(epoch=header.began["epoch"]).first(), device, header)
    return IncomingEpoch.objects.using(alias).create(
        device=device,
        epoch=header.epoch,
        ordinal=1 if newest is None else newest.ordinal + 1,
        began=header.began,
    )


def check_continued(before: IncomingEpoch | None, device: Device, header: Header) -> None:
    if before is None:
        raise EpochUnknown(device=device.name, what="it continues an epoch that is not known here")
    number = header.began["number"]
    if number > before.head_number:
        raise EpochUnknown(
            device=device.name,
            what=f"it continues batch {number} of the epoch before, and only {before.head_number} have arrived;"
            " send those first",
        )


def is_stored(alias: str, epoch: IncomingEpoch, number: int, batch_hash: str) -> bool:
    stored = (IncomingBatch.State.HELD, IncomingBatch.State.CONSUMED)
    return (
        IncomingBatch.objects.using(alias)
        .filter(epoch=epoch, number=number, hash=batch_hash, state__in=stored)
        .exists()
    )
