"""The place of a batch in its device's chain.

The next number on the right previous hash is held, and what waited behind it follows. The same again gets the same
receipt. Ahead of a gap it waits. Anything else that claims a taken place is a fork: kept beside the chain, refused.

The end of an epoch that the device no longer knows (it was restored, and has begun a later one) is held as *late* when
others bring it: nobody else has it any more. From the device itself it is refused, for then a copy is in use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from audit.fields import EPOCH, to_microseconds
from audit.models import Device
from sync_api import conf
from sync_api.enrolment.registration import server_identity
from sync_api.exceptions import (
    BatchFork,
    DeviceRevoked,
    DeviceUploadsStates,
    EpochClosed,
    EpochUnknown,
    SequenceMismatch,
    SyncError,
)
from sync_api.inbox.delivery import Delivery
from sync_api.inbox.early import keep_early, waiting
from sync_api.inbox.heads import raise_alarm, receipt_for
from sync_api.inbox.stored import hold, new_batch
from sync_api.models import IncomingBatch, IncomingEpoch
from sync_api.wire.certificates import RECEIPT, is_signed_by
from sync_api.wire.format import decode
from sync_api.wire.header import Header, read_header

State = IncomingBatch.State


@dataclass(frozen=True, slots=True)
class Placed:
    """Held, duplicate or early; or a refusal to raise once the transaction is committed."""

    state: str
    expected: int
    receipt: dict[str, Any] | None = None
    refusal: SyncError | None = None


def place(alias: str, delivery: Delivery) -> Placed:
    """Find and take the batch's place. Call inside a transaction that holds the device's credentials."""
    header = delivery.header
    epochs = {epoch.epoch: epoch for epoch in IncomingEpoch.objects.using(alias).filter(device=delivery.device)}
    epoch = epochs.get(header.epoch)
    if epoch is not None and (again := _seen_before(alias, delivery, epoch)) is not None:
        return again
    _check_kind(alias, delivery)
    _check_cut_off(alias, delivery, epochs)
    if epoch is None:
        epoch = _begin_epoch(alias, delivery, epochs)
    is_late = _check_epoch(delivery, epoch, epochs)
    if header.number > epoch.head_number + 1:
        keep_early(alias, delivery, epoch)
        return Placed("early", epoch.head_number + 1)
    if header.number <= epoch.head_number or header.previous != epoch.head_hash:
        return _fork(alias, delivery, epoch)
    _check_sequence(header, epoch)
    batch = new_batch(alias, delivery, epoch, State.HELD, is_late=is_late)
    hold(alias, epoch, batch, header, delivery.envelope)
    _promote(alias, delivery, epoch, is_late=is_late)
    if is_late:
        _late_alarm(alias, delivery, epoch)
    receipt = receipt_for(alias, header.device, epoch.epoch, batch)
    return Placed("held", epoch.head_number + 1, receipt)


def _check_kind(alias: str, delivery: Delivery) -> None:
    """A device that uploads its tables sends no log in the same era. Read under the credentials' lock: see `kinds`."""
    kind = Device.objects.using(alias).values_list("kind", flat=True).get(pk=delivery.device.pk)
    if kind != Device.Kind.LOG:
        raise DeviceUploadsStates(device=delivery.header.device)


def _seen_before(alias: str, delivery: Delivery, epoch: IncomingEpoch) -> Placed | None:
    batches = IncomingBatch.objects.using(alias).defer("content", "header")
    batch = batches.filter(epoch=epoch, number=delivery.header.number, hash=delivery.hash).first()
    if batch is None:
        return None
    if batch.state == State.FORK:
        return _fork(alias, delivery, epoch)
    if batch.state == State.EARLY:
        return Placed("early", epoch.head_number + 1)
    return Placed("duplicate", epoch.head_number + 1, receipt_for(alias, delivery.device.name, epoch.epoch, batch))


def _check_cut_off(alias: str, delivery: Delivery, epochs: dict[str, IncomingEpoch]) -> None:
    """A revoked key's batches up to the cut-off stay good, by whatever road they come; and those that this server
    itself said it holds, before it was restored from a backup and revoked the key afterwards."""
    if delivery.credential.revoked_at is None:
        return
    cut_off = delivery.credential.revoked_after or {}
    if delivery.header.epoch in cut_off.get("earlier", []):
        return
    if delivery.header.epoch == cut_off.get("epoch") and delivery.header.number <= cut_off["number"]:
        return
    last, own = epochs.get(cut_off.get("epoch", "")), epochs.get(delivery.header.epoch)
    if last is not None and own is not None and own.ordinal < last.ordinal:
        return
    if _was_acknowledged(alias, delivery):
        return
    raise DeviceRevoked(device=delivery.device.name)


def _was_acknowledged(alias: str, delivery: Delivery) -> bool:
    """Whether the bringer has this server's own signed receipt for exactly this batch."""
    receipt, header = delivery.receipt, delivery.header
    if receipt is None or not is_signed_by(RECEIPT, receipt, server_identity(alias)["public_key"]):
        return False
    said = tuple(receipt.get(name) for name in ("kind", "device", "epoch", "number", "hash"))
    return said == ("held", header.device, header.epoch, header.number, delivery.hash)


def _begin_epoch(alias: str, delivery: Delivery, epochs: dict[str, IncomingEpoch]) -> IncomingEpoch:
    began = delivery.header.began
    if began["kind"] == "continues" and epochs:
        _check_continued(alias, delivery, epochs.get(began["epoch"]))
    ordinal = 1 + max((epoch.ordinal for epoch in epochs.values()), default=0)
    begun = IncomingEpoch.objects.using(alias).create(
        device=delivery.device, epoch=delivery.header.epoch, ordinal=ordinal, began=began, effective_at=EPOCH
    )
    for later in _continuing(delivery, epochs):
        later.ordinal = ordinal = ordinal + 1
        later.save(using=alias, update_fields=["ordinal"])
    return begun


def _check_continued(alias: str, delivery: Delivery, before: IncomingEpoch | None) -> None:
    """What this server lost of the epoch before (restored from a backup), or a slower road still brings, has to come
    first: once a later epoch has batches, none is taken. Nothing is waited for where it may have been refused."""
    number = delivery.header.began["number"]
    if before is not None and before.head_number >= number:
        return
    if any(key.revoked_at for key in delivery.device.credentials.using(alias).all()):
        return
    if IncomingBatch.objects.using(alias).filter(epoch__device=delivery.device, state=State.FORK).exists():
        return
    if before is None:
        raise EpochUnknown(device=delivery.device.name, what="the epoch it continues is not known here")
    what = f"it continues one up to batch {number}, of which {before.head_number} are here"
    raise EpochUnknown(device=delivery.device.name, what=what, remedy="Send the missing batches first.")


def _continuing(delivery: Delivery, epochs: dict[str, IncomingEpoch]) -> list[IncomingEpoch]:
    """The epochs that continue the batch's, in order: their first batches came before it, and wait. EpochClosed."""
    found: list[IncomingEpoch] = []
    wanted = delivery.header.epoch
    while after := next((epoch for epoch in epochs.values() if epoch.began.get("epoch") == wanted), None):
        if after.head_number or after in found:
            raise EpochClosed(device=delivery.device.name)
        found.append(after)
        wanted = after.epoch
    return found


def _check_epoch(delivery: Delivery, epoch: IncomingEpoch, epochs: dict[str, IncomingEpoch]) -> bool:
    """Whether the batch is late: a later epoch has begun. EpochClosed when the device itself still brings it."""
    if epoch.began != delivery.header.began:
        raise EpochUnknown(device=delivery.device.name, what="it began otherwise than the batches before say")
    is_late = any(later.ordinal > epoch.ordinal and later.head_number > 0 for later in epochs.values())
    if is_late and delivery.is_direct:
        raise EpochClosed(device=delivery.device.name)
    return is_late


def _check_sequence(header: Header, epoch: IncomingEpoch) -> None:
    if header.first != epoch.sequence + 1:
        raise SequenceMismatch(device=header.device, field="'first'")
    if header.number > 1 and header.effective != to_microseconds(epoch.effective_at):
        raise SequenceMismatch(device=header.device, field="'effective'")


def _promote(alias: str, delivery: Delivery, epoch: IncomingEpoch, *, is_late: bool) -> None:
    """The gap is closed: hold, in order, what waited behind it. What does not fit there becomes a fork."""
    while candidates := waiting(alias, epoch, epoch.head_number + 1):
        number = epoch.head_number + 1
        for batch in candidates:
            envelope = decode(bytes(batch.content))
            header = read_header(envelope.header, lines=len(envelope.lines))
            if epoch.head_number < number and _fits(header, epoch):
                batch.state, batch.is_late = State.HELD, is_late
                batch.save(using=alias, update_fields=["state", "is_late"])
                hold(alias, epoch, batch, header, envelope)
            else:
                batch.state = State.FORK
                batch.save(using=alias, update_fields=["state"])
                _fork_alarm(alias, delivery, epoch, number, batch.hash)
        if epoch.head_number < number:
            return


def _fits(header: Header, epoch: IncomingEpoch) -> bool:
    if header.previous != epoch.head_hash:
        return False
    try:
        _check_sequence(header, epoch)
    except SequenceMismatch:
        return False
    return True


def _fork(alias: str, delivery: Delivery, epoch: IncomingEpoch) -> Placed:
    """Keep the batch beside the chain, warn the operator, and refuse it."""
    header = delivery.header
    forks = IncomingBatch.objects.using(alias).filter(epoch__device=delivery.device, state=State.FORK)
    kept = forks.filter(epoch=epoch, number=header.number, hash=delivery.hash).exists()
    if not kept and forks.count() < conf.limit("SYNC_FORKS_KEPT_MAX"):
        new_batch(alias, delivery, epoch, State.FORK)
        kept = True
    _fork_alarm(alias, delivery, epoch, header.number, delivery.hash)
    refusal = BatchFork(device=header.device, number=header.number, kept=kept)
    return Placed("fork", epoch.head_number + 1, refusal=refusal)


def _late_alarm(alias: str, delivery: Delivery, epoch: IncomingEpoch) -> None:
    name = delivery.device.name
    raise_alarm(
        alias,
        delivery.device,
        "epoch_ended",
        f"Batches of an earlier life of device '{name}' came after it had begun a later one: it was restored from an "
        "older copy, or a copy of it is in use. They are kept, and set aside: read them with `parked list`, and enter "
        "on the device what it lacks.",
        {"epoch": epoch.epoch},
    )


def _fork_alarm(alias: str, delivery: Delivery, epoch: IncomingEpoch, number: int, hash_hex: str) -> None:
    name = delivery.device.name
    raise_alarm(
        alias,
        delivery.device,
        "batch_fork",
        f"Batch {number} of device '{name}' came in two versions: the device was cloned or restored. Find out which "
        "copy is in use, then run add_device here and enrol there.",
        {"epoch": epoch.epoch, "number": number, "hash": hash_hex},
    )
