"""A batch that was sent here: held by a server in its place in the chain, carried by a middleman."""

from __future__ import annotations

from typing import Any

from sync_api import conf
from sync_api.exceptions import NotARelay
from sync_api.inbox import accept
from sync_api.relay import carry
from sync_api.trust.handing_on import answer_statements


def take_batch(
    alias: str, content: bytes, *, handed_over_by: str, role: str, receipt: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Store the batch by this installation's own role, and return the answer's body. Opens its own transaction.

    `role` is that of the installation that brings it, `receipt` what it says that this server once answered. Raises
    NotARelay where no batches are taken.
    """
    own = conf.alias_settings(alias)
    if own.role == "server":
        return held(alias, content, handed_over_by, receipt)
    if own.role == "relay":
        return carried(alias, content, handed_over_by, role)
    raise NotARelay(device=own.device, role=own.role)


def held(alias: str, content: bytes, handed_over_by: str, receipt: dict[str, Any] | None) -> dict[str, Any]:
    accepted = accept(alias, content, handed_over_by=handed_over_by, receipt=receipt)
    return {
        "state": accepted.state,
        "device": accepted.device,
        "epoch": accepted.epoch,
        "number": accepted.number,
        "hash": accepted.hash,
        "expected": accepted.expected,
        "receipt": accepted.receipt,
        "statements": answer_statements(alias, accepted.device, accepted.epoch),
    }


def carried(alias: str, content: bytes, handed_over_by: str, role: str) -> dict[str, Any]:
    taken = carry(alias, content, handed_over_by=handed_over_by, role=role, via="push")
    batch = taken.batch
    return {
        "state": taken.state,
        "device": batch.device,
        "epoch": batch.epoch,
        "number": batch.number,
        "hash": batch.hash,
        "expected": batch.number + 1,
        "receipt": taken.receipt,
        "statements": answer_statements(alias, batch.device, batch.epoch),
    }
