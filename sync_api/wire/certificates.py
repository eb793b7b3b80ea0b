"""Signed facts: a device's certificate, and receipts about its batches.

Both are JSON objects with a `signature` over their other members' canonical bytes, each under its own heading, so
that one can never be taken for the other.
"""

from __future__ import annotations

from typing import Any

import orjson

from sync_api.wire.keys import DeviceKeys, verifies

CERTIFICATE = b"syncserver-certificate-1\0"
RECEIPT = b"syncserver-receipt-1\0"
REQUEST = b"syncserver-enrolment-1\0"


def canonical(facts: dict[str, Any]) -> bytes:
    """JSON with sorted keys and no spaces, without `signature`."""
    return orjson.dumps(
        {name: value for name, value in facts.items() if name != "signature"}, option=orjson.OPT_SORT_KEYS
    )


def signed(heading: bytes, facts: dict[str, Any], keys: DeviceKeys) -> dict[str, Any]:
    """`facts` with the signature of `keys`, in hex."""
    return {**facts, "signature": keys.sign(heading + canonical(facts)).hex()}


def is_signed_by(heading: bytes, facts: Any, public_hex: str) -> bool:
    """Whether `facts` carries that key's signature under that heading."""
    if not isinstance(facts, dict) or not isinstance(facts.get("signature"), str):
        return False
    try:
        signature = bytes.fromhex(facts["signature"])
        message = heading + canonical(facts)
    except (ValueError, TypeError):
        return False
    return verifies(public_hex, signature, message)
