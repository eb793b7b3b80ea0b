"""Accepts one batch: exactly once, in order, by any road. DESIGN, section 5.

The chain of one device's epoch is (number, hash, hash before). The next number with the right hash before it is
stored with all its transactions. Ahead of a gap a batch is kept as bytes and stored when the gap closes. The same
number with another hash is a fork: refused, its bytes kept, an alarm raised.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from django.db.models import Count, Sum
from django.utils import timezone

from audit.fields import from_microseconds, to_microseconds
from audit.models import Device
from sync_api.conf import alias_settings, limit
from sync_api.exceptions import BatchFork, EarlyLimit, ErasedLineUnproven, SequenceMismatch
from sync_api.failpoints import failpoint
from sync_api.inbox.alarms import raise_alarm
from sync_api.inbox.epochs import epoch_of
from sync_api.inbox.store import insert_rows, rows_of
from sync_api.inbox.trust import require_trust
from sync_api.models import IncomingBatch, IncomingEpoch
from sync_api.transactions import immediate
from sync_api.wire.certificates import RECEIPT, signed
from sync_api.wire.chain import ERASED
from sync_api.wire.format import Envelope, decode
from sync_api.wire.header import Header, read_header
from sync_api.wire.keys import device_keys
from sync_api.wire.lines import Line, effective_times, read_lines

FORKS_KEPT_MAX = 20
"""Refused batches kept per epoch, as evidence."""

State = IncomingBatch.State


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a batch. `expected` is the number that the epoch waits for next."""

    state: Literal["held", "duplicate", "early"]
    device: str
    epoch: str
    number: int
    hash: str
    expected: int
    receipt: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Arrival:
    """A batch that has been read and may come in."""

    envelope: Envelope
    header: Header
    content: bytes
    handed_over_by: str


def accept(alias: str, content: bytes, *, handed_over_by: str) -> Accepted:
    """Store a batch that `handed_over_by` brings. Opens its own transaction; may be called any number of times.

    Raises SyncError subclasses (MalformedEnvelope, EnvelopeTooLarge, DeviceUnknown, KeyUnknown, BadSignature,
    WrongDevice, DeviceRevoked, EpochClosed, EpochUnknown, SequenceMismatch, EarlyLimit, BatchFork); then nothing is
    stored, but for a fork's bytes and its alarm.
    """
    envelope = decode(content)
    header = read_header(envelope.header, lines=len(envelope.lines))
    for number, line in enumerate(envelope.lines, header.first):
        if line[:1] == ERASED:
            raise ErasedLineUnproven(line=number)
    arrival = Arrival(envelope, header, content, handed_over_by)
    require_trust(alias, envelope, header, handed_over_by)
    lines = read_lines(header, envelope.lines)
    with immediate(alias):
        device = Device.objects.using(alias).select_for_update().get(name=header.device)
        epoch = epoch_of(alias, device, header, envelope.hash)
        outcome = place(alias, device, epoch, arrival, lines)
        note_contact(alias, device, header)
        failpoint("accept.before_commit")
    failpoint("accept.after_commit")
    if isinstance(outcome, BatchFork):
        raise outcome
    return outcome


def place(
    alias: str, device: Device, epoch: IncomingEpoch, arrival: Arrival, lines: list[Line]
) -> Accepted | BatchFork:
    """Put the batch where it belongs in its chain. Call inside a transaction that holds the device."""
    header, batch_hash = arrival.header, arrival.envelope.hash
    same_number = IncomingBatch.objects.using(alias).filter(epoch=epoch, number=header.number)
    stored = same_number.filter(state__in=(State.HELD, State.CONSUMED)).first()
    if stored is not None:
        if stored.hash != batch_hash:
            return fork(alias, device, epoch, arrival)
        return answer(alias, device, epoch, stored, "duplicate")
    if header.number > epoch.head_number + 1:
        return keep_early(alias, device, epoch, arrival)
    if header.number <= epoch.head_number or header.previous != epoch.head_hash:
        return fork(alias, device, epoch, arrival)
    same_number.filter(state=State.EARLY, hash=batch_hash).delete()
    batch = append(alias, device, epoch, arrival, lines)
    close_gap(alias, device, epoch)
    return answer(alias, device, epoch, batch, "held")


def append(
    alias: str,
    device: Device,
    epoch: IncomingEpoch,
    arrival: Arrival,
    lines: list[Line],
    *,
    early: IncomingBatch | None = None,
) -> IncomingBatch:
    """Make the batch the head of its chain, with its transactions. SequenceMismatch refuses it."""
    header = arrival.header
    times, effective = effective_times(lines, header.effective)
    del times
    if header.first != epoch.sequence + 1:
        raise SequenceMismatch(device=device.name, field="first")
    if epoch.head_number and header.effective != to_microseconds(epoch.effective_at):
        raise SequenceMismatch(device=device.name, field="effective")
    if header.time != effective:
        raise SequenceMismatch(device=device.name, field="time")
    batch = early or new_batch(epoch, arrival)
    batch.state = State.HELD
    batch.save(using=alias)
    insert_rows(alias, rows_of(batch, header, lines))
    epoch.head_number = header.number
    epoch.head_hash = arrival.envelope.hash
    epoch.sequence += header.count
    epoch.effective_at = from_microseconds(effective)
    epoch.save(using=alias, update_fields=["head_number", "head_hash", "sequence", "effective_at"])
    return batch


def new_batch(epoch: IncomingEpoch, arrival: Arrival) -> IncomingBatch:
    header = arrival.header
    return IncomingBatch(
        epoch=epoch,
        number=header.number,
        hash=arrival.envelope.hash,
        previous_hash=header.previous,
        header=arrival.envelope.header,
        content=arrival.content,
        size=len(arrival.content),
        lines=header.count,
        first_sequence=header.first,
        received_at=timezone.now(),
        received_from=arrival.handed_over_by,
    )


def keep_early(alias: str, device: Device, epoch: IncomingEpoch, arrival: Arrival) -> Accepted:
    """Keep a batch that came before its turn, within limits."""
    expected = epoch.head_number + 1
    early = IncomingBatch.objects.using(alias).filter(epoch__device=device, state=State.EARLY)
    too_old = timezone.now() - timedelta(days=limit("SYNC_EARLY_AGE_DAYS_MAX"))
    early.filter(received_at__lt=too_old).delete()
    kept = early.filter(epoch=epoch, number=arrival.header.number, hash=arrival.envelope.hash).first()
    if kept is None:
        totals = early.aggregate(batches=Count("id"), size=Sum("size"))
        if totals["batches"] >= limit("SYNC_EARLY_BATCHES_MAX"):
            raise EarlyLimit(device=device.name, expected=expected, limit="SYNC_EARLY_BATCHES_MAX")
        if (totals["size"] or 0) + len(arrival.content) > limit("SYNC_EARLY_BYTES_MAX"):
            raise EarlyLimit(device=device.name, expected=expected, limit="SYNC_EARLY_BYTES_MAX")
        kept = new_batch(epoch, arrival)
        kept.state = State.EARLY
        kept.save(using=alias)
        if early.filter(epoch=epoch, number=kept.number).exclude(hash=kept.hash).exists():
            raise_alarm(
                alias,
                device,
                "two_early_batches",
                f"Two different batches {kept.number} of device '{device.name}' wait behind a gap. "
                "Both are kept; the wrong one becomes a fork when the gap closes.",
                {"epoch": epoch.epoch, "number": kept.number},
            )
    return answer(alias, device, epoch, kept, "early")


def close_gap(alias: str, device: Device, epoch: IncomingEpoch) -> None:
    """Append the early batches whose turn has come; what does not fit the chain becomes a fork."""
    while True:
        waiting = IncomingBatch.objects.using(alias).filter(
            epoch=epoch, number=epoch.head_number + 1, state=State.EARLY
        )
        next_batch = None
        for batch in waiting:
            if batch.previous_hash == epoch.head_hash and next_batch is None:
                next_batch = batch
            else:
                mark_fork(alias, device, epoch, batch)
        if next_batch is None or not append_early(alias, device, epoch, next_batch):
            return


def append_early(alias: str, device: Device, epoch: IncomingEpoch, batch: IncomingBatch) -> bool:
    content = bytes(batch.content)
    envelope = decode(content)
    header = read_header(envelope.header, lines=len(envelope.lines))
    arrival = Arrival(envelope, header, content, batch.received_from)
    try:
        append(alias, device, epoch, arrival, read_lines(header, envelope.lines), early=batch)
    except SequenceMismatch:
        mark_fork(alias, device, epoch, batch)
        return False
    return True


def fork(alias: str, device: Device, epoch: IncomingEpoch, arrival: Arrival) -> BatchFork:
    """Keep the evidence of a fork and raise its alarm. The caller raises the error after the commit."""
    forks = IncomingBatch.objects.using(alias).filter(epoch=epoch, state=State.FORK)
    number = arrival.header.number
    kept = forks.filter(number=number, hash=arrival.envelope.hash).exists()
    if not kept and forks.count() < FORKS_KEPT_MAX:
        batch = new_batch(epoch, arrival)
        batch.state = State.FORK
        batch.save(using=alias)
        kept = True
    error = BatchFork(device=device.name, number=number, kept=kept)
    raise_alarm(alias, device, error.code, str(error), {"epoch": epoch.epoch, "number": number})
    return error


def mark_fork(alias: str, device: Device, epoch: IncomingEpoch, batch: IncomingBatch) -> None:
    batch.state = State.FORK
    batch.save(using=alias, update_fields=["state"])
    error = BatchFork(device=device.name, number=batch.number, kept=True)
    raise_alarm(alias, device, error.code, str(error), {"epoch": epoch.epoch, "number": batch.number})


def note_contact(alias: str, device: Device, header: Header) -> None:
    Device.objects.using(alias).filter(pk=device.pk).update(
        last_seen_at=timezone.now(), app_version=header.app[:50]
    )


def answer(
    alias: str,
    device: Device,
    epoch: IncomingEpoch,
    batch: IncomingBatch,
    state: Literal["held", "duplicate", "early"],
) -> Accepted:
    receipt = None if state == "early" else held_receipt(alias, device.name, epoch.epoch, batch)
    return Accepted(
        state=state,
        device=device.name,
        epoch=epoch.epoch,
        number=batch.number,
        hash=batch.hash,
        expected=epoch.head_number + 1,
        receipt=receipt,
    )


def held_receipt(alias: str, device: str, epoch: str, batch: IncomingBatch) -> dict[str, Any]:
    """This server's signed word that it holds the batch and all before it. The same word each time it is asked."""
    signer = alias_settings(alias).device
    facts = {
        "kind": "held",
        "device": device,
        "epoch": epoch,
        "number": batch.number,
        "hash": batch.hash,
        "signer": signer,
        "at": batch.received_at.isoformat(),
    }
    return signed(RECEIPT, facts, device_keys(signer))
