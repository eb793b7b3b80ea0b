"""Signed statements that travel by any road: receipts, revocations, custody, and the state of a device.

A statement is a flat JSON object with `kind`, `device` (whom it is about), `signer`, `at` (ISO 8601) and a
`signature`; one that is not signed by a server carries its signer's `certificate`. Members by kind:

    held, applied, durable   epoch, number, hash: the chain of the device up to this batch. A relay's `held` also has
                             `first`: it speaks of the batches from `first` to `number` alone
    applied                  may have `preserved`: what the marks that end eras found (see sync_api.finalizing)
    revocation               public_keys, after ({"epoch", "number"} or null), reason
    custody                  epoch, number, hash, action (received, handed_over or erased), other, via
    erasure                  epoch, number, hash, lines (see sync_api.wire.erasing), reason, by: an order to all who
                             have that batch
    heartbeat                facts about the device: see sync_api.fleet
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from sync_api.wire.certificates import RECEIPT, canonical, is_signed_by, signed
from sync_api.wire.header import DEVICE
from sync_api.wire.keys import DeviceKeys

STATEMENT = b"syncserver-statement-1\0"
RECEIPTS = ("held", "applied", "durable")
KINDS = (*RECEIPTS, "revocation", "custody", "heartbeat", "erasure")
STATEMENT_BYTES_MAX = 64 * 1024
FLOAT_MAX = 1e15
"""Below it, a float is written with a point by everyone."""


def heading(kind: str) -> bytes:
    return RECEIPT if kind in RECEIPTS else STATEMENT


def sign_statement(facts: dict[str, Any], keys: DeviceKeys) -> dict[str, Any]:
    """`facts` with their signature."""
    return signed(heading(facts["kind"]), facts, keys)


def is_statement(value: Any) -> bool:
    """Whether it has the form of a statement, of any kind known here, within its size."""
    return (
        isinstance(value, dict)
        and value.get("kind") in KINDS
        and all(isinstance(value.get(name), str) and DEVICE.fullmatch(value[name]) for name in ("device", "signer"))
        and isinstance(value.get("at"), str)
        and is_moment(value["at"])
        and isinstance(value.get("signature"), str)
        and len(canonical(value)) <= STATEMENT_BYTES_MAX
        and is_kept_whole(value)
    )


def is_kept_whole(value: Any) -> bool:
    """Whether every database gives it back as it came: PostgreSQL's JSON takes no NUL, and writes large floats as
    whole numbers and -0.0 as 0.0, so that the signature would not fit any more. Call with limited depth."""
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, float):
        return abs(value) < FLOAT_MAX and (value != 0.0 or str(value) == "0.0")
    if isinstance(value, dict):
        return all(map(is_kept_whole, value)) and all(map(is_kept_whole, value.values()))
    return not isinstance(value, list) or all(map(is_kept_whole, value))


def is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def is_statement_of(value: dict[str, Any], public_hex: str) -> bool:
    """Whether that key signed the statement."""
    return is_signed_by(heading(value["kind"]), value, public_hex)


def digest_of(statement: dict[str, Any]) -> str:
    """What one statement is known by, in hex."""
    return hashlib.sha256(canonical(statement) + str(statement["signature"]).encode()).hexdigest()
