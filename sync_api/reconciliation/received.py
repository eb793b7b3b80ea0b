"""A day's records as they came here: from the bytes of the batches that this installation carries or holds.

The bytes and not the mirror are read, so that a relay that met only some of a laptop's batches can compare them too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sync_api.conf import alias_settings
from sync_api.erasing.orders import proven_lines
from sync_api.models import CarriedBatch, IncomingBatch, ParkedRecord, ParkedUnit
from sync_api.recipients.own import own_private_keys
from sync_api.reconciliation.chosen import natural_key_of
from sync_api.reconciliation.records import Record, hash_of, row_values
from sync_api.relay.waiting import epochs_in_order
from sync_api.wire.format import decode
from sync_api.wire.header import Header, read_header
from sync_api.wire.lines import read_lines
from sync_api.wire.opening import can_open, opened_lines

HELD_STATES = (IncomingBatch.State.HELD, IncomingBatch.State.CONSUMED)


@dataclass(slots=True)
class Received:
    """What is here of one device. `hashes` are the batches' by epoch and number; `unreadable` counts changes of the
    day by model that are sealed to others; `consumed` are the batches that the mirror here has."""

    device: str
    records: dict[tuple[str, str], Record] = field(default_factory=dict)
    hashes: dict[tuple[str, int], set[str]] = field(default_factory=dict)
    unreadable: dict[str, int] = field(default_factory=dict)
    consumed: set[tuple[str, int]] = field(default_factory=set)
    parked: dict[tuple[str, str], str] = field(default_factory=dict)
    epochs: list[str] = field(default_factory=list)

    def head(self, epoch: str) -> int:
        """The last batch of that epoch with all before it from the first that is here; 0 where none is."""
        return max((number for own, number in self.hashes if own == epoch), default=0)

    def gaps(self, epoch: str, last: int) -> list[int]:
        """Numbers up to `last` that are not here, from the first that is."""
        here = {number for own, number in self.hashes if own == epoch}
        return [number for number in range(min(here, default=last + 1), last + 1) if number not in here]


def received(alias: str, device: str, labels: list[str], begin: int, end: int) -> Received:
    """The last change of each record captured from `begin` to before `end` (microseconds of the laptop's clock)."""
    told = Received(device)
    rows = batch_rows(alias, device)
    for epoch, number, hash_hex, state in rows:
        told.hashes.setdefault((epoch, number), set()).add(hash_hex)
        if state == IncomingBatch.State.CONSUMED:
            told.consumed.add((epoch, number))
    told.epochs = list(dict.fromkeys(epoch for epoch, *_ in rows))
    for content in contents_since(alias, device, told, begin):
        read_batch(alias, content, labels, begin, end, told)
    for tx_name, tx_pk, code in parked_records(alias, device):
        told.parked[tx_name, tx_pk] = code
    return told


def batch_rows(alias: str, device: str) -> list[tuple[str, int, str, str]]:
    """Epoch, number, hash and state of every batch that is here, in the order of epochs and numbers."""
    carried = CarriedBatch.objects.using(alias).filter(device=device).order_by("number", "pk")
    held = IncomingBatch.objects.using(alias).filter(epoch__device__name=device, state__in=HELD_STATES)
    rows = [
        *carried.values_list("epoch", "number", "hash", "state"),
        *held.order_by("epoch__ordinal", "number").values_list("epoch__epoch", "number", "hash", "state"),
    ]
    order = {epoch: place for place, epoch in enumerate(ordered_epochs(alias, device, rows))}
    return sorted(rows, key=lambda row: (order[row[0]], row[1]))


def ordered_epochs(alias: str, device: str, rows: list[Any]) -> list[str]:
    held = IncomingBatch.objects.using(alias).filter(epoch__device__name=device, state__in=HELD_STATES)
    known = list(dict.fromkeys(held.order_by("epoch__ordinal").values_list("epoch__epoch", flat=True)))
    others = dict.fromkeys(epoch for epoch, *_ in rows if epoch not in known)
    return [*known, *(epochs_in_order(alias, device, others) if others else [])]


def contents_since(alias: str, device: str, told: Received, begin: int) -> Iterator[bytes]:
    """The bytes of the batches that may hold changes since `begin`, in order.

    A batch's time is never before one of its changes nor before the batch ahead of it, so reading backwards ends at
    the first batch that is older.
    """
    for epoch in told.epochs:
        wanted: list[bytes] = []
        for own, number in sorted((place for place in told.hashes if place[0] == epoch), reverse=True):
            contents = [content_of(alias, device, own, number, one) for one in sorted(told.hashes[own, number])]
            if all(decode(content).header.get("time", begin) < begin for content in contents):
                break
            wanted[:0] = contents
        yield from wanted


def content_of(alias: str, device: str, epoch: str, number: int, hash_hex: str) -> bytes:
    carried = CarriedBatch.objects.using(alias).filter(device=device, epoch=epoch, number=number, hash=hash_hex)
    content = carried.values_list("content", flat=True).first()
    if content is None:
        held = IncomingBatch.objects.using(alias).filter(epoch__device__name=device, epoch__epoch=epoch)
        content = held.filter(number=number, hash=hash_hex).values_list("content", flat=True).get()
    return bytes(content)


def read_batch(alias: str, content: bytes, labels: list[str], begin: int, end: int, told: Received) -> None:
    """Add the batch's changes of the day. A batch that cannot be read was refused before it was stored."""
    envelope = decode(content)
    header = read_header(envelope.header, lines=len(envelope.lines))
    keys = own_private_keys(alias_settings(alias).device) if header.sealed else {}
    lines = opened_lines(header, envelope.lines, keys) if header.sealed else envelope.lines
    named = [model["label"] for model in header.models]
    closed = {model for group in header.sealed for model in group["models"] if not can_open(header.sealed, model, keys)}
    facts = {"device": header.device, "epoch": header.epoch, "number": header.number, "hash_hex": envelope.hash}
    for line in read_lines(header, lines, proven_lines(alias, lines, **facts)):
        label = named[line.model] if 0 <= line.model < len(named) else ""
        if label not in labels or not begin <= line.captured_at < end or line.payload is None:
            continue
        if line.model in closed:
            told.unreadable[label] = told.unreadable.get(label, 0) + 1
            continue
        record = record_of(alias, header, line)
        told.records.pop(record.identity, None)
        told.records[record.identity] = record


def record_of(alias: str, header: Header, line: Any) -> Record:
    description = header.models[line.model]
    label = str(description["label"])
    action = "I" if line.action == "B" else line.action
    try:
        key = natural_key_of(alias, label, row_values(label, description, header.storage, line.payload))
    except (LookupError, ValueError):
        key = None
    return Record(label, str(line.key), action, header.epoch, header.number, hash_of(line.payload), key)


def parked_records(alias: str, device: str) -> list[tuple[str, str, str]]:
    """Records that this installation's own mirror set aside, with the code."""
    records = ParkedRecord.objects.using(alias).filter(
        parked_unit__device__name=device, parked_unit__state=ParkedUnit.State.PARKED
    )
    return list(records.values_list("tx_name", "tx_pk", "parked_unit__code"))
