"""Hashes: a salted one per line, one over a batch, each batch naming the one before.

A line's hash hides the line (its salt is unknown without the batch's salt), so a line can later give way to its hash
and the batch's hash still verifies.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

SALT_BYTES = 32
LINE_SALT_BYTES = 16
ERASED = b"~"


def batch_salt(salt_key: bytes, *, epoch: str, number: int) -> bytes:
    """The batch's salt: the same for the same batch, so that sealing is deterministic."""
    return hmac.digest(salt_key, f"{epoch}|{number}".encode(), "sha256")


def line_salt(salt: bytes, index: int) -> bytes:
    return hashlib.sha256(salt + index.to_bytes(8, "big")).digest()[:LINE_SALT_BYTES]


def line_hashes(salt: bytes, lines: Sequence[bytes]) -> list[bytes]:
    """SHA-256 of each line behind its own salt. An erased line carries its hash."""
    start = hashlib.sha256(salt)
    sha256 = hashlib.sha256
    hashes = []
    for index, line in enumerate(lines):
        if line[:1] == ERASED:
            hashes.append(bytes.fromhex(line[1:].decode()))
            continue
        salting = start.copy()
        salting.update(index.to_bytes(8, "big"))
        hashes.append(sha256(salting.digest()[:LINE_SALT_BYTES] + line).digest())
    return hashes


def line_hashes_from_salts(salts: Sequence[bytes | None], lines: Sequence[bytes]) -> list[bytes]:
    """The same after an erasure, when the remaining lines' own salts stand in for the batch's."""
    hashes = []
    for salt, line in zip(salts, lines, strict=True):
        if line[:1] == ERASED:
            hashes.append(bytes.fromhex(line[1:].decode()))
        else:
            hashes.append(hashlib.sha256((salt or b"") + line).digest())
    return hashes


def batch_hash(header: bytes, hashes: Sequence[bytes]) -> bytes:
    """SHA-256 over the header's bytes, a newline and the ordered line hashes."""
    return hashlib.sha256(b"".join((header, b"\n", *hashes))).digest()
