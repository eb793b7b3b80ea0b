"""Certificates and statements by whoever a test wants to speak."""

from __future__ import annotations

import secrets
from typing import Any

from django.utils import timezone

from sync_api.models import OutgoingBatch
from sync_api.wire.certificates import CERTIFICATE, signed
from sync_api.wire.keys import DeviceKeys, device_keys
from sync_api.wire.statements import sign_statement


def certified(name: str, *, issuer: str, role: str = "client", keys: DeviceKeys | None = None) -> dict[str, Any]:
    """A certificate for `name`, signed by `issuer`."""
    by = device_keys(issuer)
    facts = {
        "device": name,
        "role": role,
        "public_key": (keys or device_keys(name)).public_hex,
        "issuer": issuer,
        "issuer_key": by.public_hex,
        "issued_at": timezone.now().isoformat(),
        "serial": secrets.token_hex(16),
    }
    return signed(CERTIFICATE, facts, by)


def said(kind: str, device: str, *, by: str, keys: DeviceKeys | None = None, **facts: Any) -> dict[str, Any]:
    """A statement of `by`; with `certificate` in `facts` where it is no server."""
    statement = {"kind": kind, "device": device, "signer": by, "at": timezone.now().isoformat(), **facts}
    return sign_statement(statement, keys or device_keys(by))


def about(batch: OutgoingBatch, **facts: Any) -> dict[str, Any]:
    """What a receipt says of a batch."""
    return {"epoch": batch.epoch, "number": batch.number, "hash": batch.hash, **facts}
