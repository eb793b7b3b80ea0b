"""Takes one envelope and answers with its place: held, held already, or early; everything else is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sync_api.collector import collector_paused
from sync_api.erasing.orders import without_ordered
from sync_api.failpoints import failpoint
from sync_api.inbox.delivery import Delivery, check_carrier, check_signature, locked_credential
from sync_api.inbox.place import place
from sync_api.transactions import immediate
from sync_api.wire.format import decode
from sync_api.wire.header import read_header


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a batch. `state` is held, duplicate (held before) or early (waits for batch `expected`).

    `expected` is the number to send next; `receipt` is None for an early batch.
    """

    state: str
    device: str
    epoch: str
    number: int
    hash: str
    expected: int
    lines: int
    receipt: dict[str, Any] | None


def accept(
    alias: str,
    content: bytes,
    handed_over_by: str,
    *,
    is_from_file: bool = False,
    receipt: dict[str, Any] | None = None,
) -> Accepted:
    """Store a batch exactly once. Opens its own transaction, under a lock on the device's credentials.

    `handed_over_by` is the name of the device that brings it: itself, or a relay; `is_from_file` where it only made
    the bundle; `receipt` is what it says that this server once answered: see `place`. What others bring of an epoch
    that has ended is held and set aside (`is_late`). Refusals are SyncErrors with a stable code, and store nothing;
    only a fork (BatchFork) is kept beside the chain, with an alarm.
    """
    with collector_paused():
        envelope = decode(content)
        header = read_header(envelope.header, lines=len(envelope.lines))
        check_carrier(alias, header.device, handed_over_by)
        check_signature(alias, header, envelope)
        with immediate(alias):
            credential = locked_credential(alias, header)
            content, envelope = without_ordered(alias, content, envelope)
            is_direct = handed_over_by == header.device and not is_from_file
            delivery = Delivery(content, envelope, header, credential, handed_over_by, is_direct, receipt)
            placed = place(alias, delivery)
            failpoint("accept.before_commit")
        failpoint("accept.after_commit")
    if placed.refusal is not None:
        raise placed.refusal
    return Accepted(
        state=placed.state,
        device=header.device,
        epoch=header.epoch,
        number=header.number,
        hash=envelope.hash,
        expected=placed.expected,
        lines=header.count,
        receipt=placed.receipt,
    )
