"""The hashes of a batch: salted lines, the batch over its header and lines, the chain over its batches.

A line's salt comes from the batch's salt and the line's place, so one value travels instead of thousands.
When a line is erased, the batch salt gives way to the remaining lines' salts, the line to its hash, and the
batch hash stays as it was signed.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterable, Sequence

SALT_BYTES = 32
LINE_SALT_BYTES = 16
HASH_HEX = 64
SIGNED_PREFIX = b"syncserver-batch-1\0"
ERASED_MARK = b"~"

_place = struct.Struct(">Q").pack


def batch_salt(salt_key: bytes, epoch: str, number: int) -> bytes:
    """The 32-byte salt of one batch: the same for the same batch, unknown without the device's salt key."""
    return hmac.new(salt_key, f"{epoch}|{number}".encode(), hashlib.sha256).digest()


def line_salt(salt: bytes, index: int) -> bytes:
    """The 16-byte salt of the line at `index` (from 0)."""
    return hashlib.sha256(salt + _place(index)).digest()[:LINE_SALT_BYTES]


def line_hash(salt: bytes, line: bytes) -> bytes:
    """The hash of one line under its own salt."""
    return hashlib.sha256(salt + line).digest()


def line_hashes(salt: bytes, lines: Sequence[bytes]) -> list[bytes]:
    """The 32-byte hashes of all lines under one batch salt."""
    sha256 = hashlib.sha256
    return [
        sha256(sha256(salt + _place(index)).digest()[:LINE_SALT_BYTES] + line).digest()
        for index, line in enumerate(lines)
    ]


def erased_line_hashes(salts: Sequence[bytes | None], lines: Sequence[bytes]) -> list[bytes]:
    """The hashes of a batch with erased lines: those without a salt hold their hash in place of the line."""
    return [
        erased_hash(line) if salt is None else line_hash(salt, line) for salt, line in zip(salts, lines, strict=True)
    ]


def erased_hash(line: bytes) -> bytes:
    """The hash that stands in place of an erased line: "~" and 64 hex digits. ValueError otherwise."""
    if line[:1] != ERASED_MARK or len(line) != 1 + HASH_HEX:
        raise ValueError("This is not an erased line.")
    return bytes.fromhex(line[1:].decode("ascii"))


def batch_hash(header: bytes, hashes: Iterable[bytes]) -> str:
    """SHA-256, in hex, over the header's bytes and the ordered line hashes."""
    digest = hashlib.sha256(header + b"\n")
    digest.update(b"".join(hashes))
    return digest.hexdigest()


def signed_bytes(hash_hex: str) -> bytes:
    """What the device signs for a batch."""
    return SIGNED_PREFIX + bytes.fromhex(hash_hex)
