"""The envelope's bytes. The same on every road.

    b"SYB1" + Ed25519 signature (64 bytes) + zstd(content)
    content = header + "\\n" + salts + "\\n" + line + "\\n" + line ...

The signature is over a heading and the batch's hash; compression stays outside both. See
`docs/explanation/envelope.md` for header and lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import zstandard

from sync_api.conf import limit
from sync_api.exceptions import EnvelopeTooLarge, MalformedEnvelope
from sync_api.wire import chain
from sync_api.wire.keys import DeviceKeys, verifies

MAGIC = b"SYB1"
FORMAT = 1
SIGNATURE_BYTES = 64
PREFIX_BYTES = len(MAGIC) + SIGNATURE_BYTES
COMPRESSION_LEVEL = 3


@dataclass(frozen=True, slots=True)
class Sealed:
    """An envelope as it is stored and sent."""

    content: bytes
    hash: str
    header_bytes: int
    content_bytes: int
    """Before compression."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope taken apart. Its structure and hashes hold; its signature is for `is_signed_by` to check."""

    header: dict[str, Any]
    lines: list[bytes]
    hash: str
    signature: bytes

    def is_signed_by(self, public_hex: str) -> bool:
        return verifies(public_hex, self.signature, chain.signed_bytes(self.hash))


def encode(header: dict[str, Any], lines: Sequence[bytes], *, salt: bytes, keys: DeviceKeys) -> Sealed:
    """Seal `lines` (UTF-8 JSON without newlines) under `header`. The same input gives the same bytes."""
    header_bytes = orjson.dumps(header, option=orjson.OPT_SORT_KEYS)
    digest = chain.batch_hash(header_bytes, chain.line_hashes(salt, lines))
    salt_line = b'{"salt":"' + salt.hex().encode() + b'"}'
    content = b"\n".join((header_bytes, salt_line, *lines))
    packed = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL).compress(content)
    signed = MAGIC + keys.sign(chain.signed_bytes(digest)) + packed
    return Sealed(signed, digest, len(header_bytes), len(content))


def check_sealed(sealed: Sealed, header: dict[str, Any], lines: Sequence[bytes]) -> None:
    """What a receiver would refuse for its size, found before it is kept: EnvelopeTooLarge as `decode` raises it."""
    check_size("size in bytes", len(sealed.content), "SYNC_ENVELOPE_BYTES_MAX")
    check_unpacked(sealed.content_bytes, len(sealed.content) - PREFIX_BYTES)
    check_parts(sealed.header_bytes, lines)
    check_size("number of models", len(header["models"]), "SYNC_MODELS_PER_BATCH_MAX")
    check_size("number of producers", len(header["producers"]), "SYNC_MODELS_PER_BATCH_MAX")


def decode(content: bytes) -> Envelope:
    """Take an envelope apart within every limit. MalformedEnvelope or EnvelopeTooLarge says what is wrong."""
    check_size("size in bytes", len(content), "SYNC_ENVELOPE_BYTES_MAX")
    if content[: len(MAGIC)] != MAGIC or len(content) <= PREFIX_BYTES:
        raise MalformedEnvelope(what="it does not begin as a batch does")
    parts = unpack(content[PREFIX_BYTES:]).split(b"\n")
    if len(parts) < 3:
        raise MalformedEnvelope(what="header, salts or lines are missing")
    header_bytes, salt_line = parts[0], parts[1]
    lines = parts[2:]
    check_parts(len(header_bytes), lines)
    header = json_object(header_bytes, "header")
    hashes = hashes_of(json_object(salt_line, "salts"), lines)
    digest = chain.batch_hash(header_bytes, hashes)
    return Envelope(header, lines, digest, content[len(MAGIC) : PREFIX_BYTES])


def unpack(packed: bytes) -> bytes:
    """Decompress one zstd frame that says its size, no larger than the limits allow."""
    try:
        size = zstandard.frame_content_size(packed)
        if size <= 0:
            raise MalformedEnvelope(what="the compressed part does not say its size")
        check_unpacked(size, len(packed))
        return zstandard.ZstdDecompressor().decompress(packed, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise MalformedEnvelope(what="the compressed part is damaged or cut off") from error


def check_unpacked(size: int, packed: int) -> None:
    check_size("decompressed size in bytes", size, "SYNC_CONTENT_BYTES_MAX")
    ratio_max = int(limit("SYNC_DECOMPRESSION_RATIO_MAX"))
    if size > int(limit("SYNC_DECOMPRESSION_FREE_BYTES")) and size > ratio_max * packed:
        setting = "SYNC_DECOMPRESSION_RATIO_MAX"
        raise EnvelopeTooLarge(what="ratio of decompression", size=size // packed, size_max=ratio_max, setting=setting)


def check_parts(header_bytes: int, lines: Sequence[bytes]) -> None:
    check_size("header in bytes", header_bytes, "SYNC_HEADER_BYTES_MAX")
    check_size("number of lines", len(lines), "SYNC_UNIT_LINES_MAX", more=int(limit("SYNC_BATCH_LINES")))
    check_size("longest line in bytes", max(map(len, lines)), "SYNC_LINE_BYTES_MAX")


def hashes_of(salts: dict[str, Any], lines: list[bytes]) -> list[bytes]:
    try:
        if isinstance(salts.get("salt"), str):
            salt = bytes.fromhex(salts["salt"])
            if len(salt) != chain.SALT_BYTES:
                raise MalformedEnvelope(what="the salt has another length than 32 bytes")
            return chain.line_hashes(salt, lines)
        own = salts.get("salts")
        if isinstance(own, list) and len(own) == len(lines):
            return chain.erased_line_hashes([None if s is None else bytes.fromhex(s) for s in own], lines)
    except (ValueError, TypeError) as error:
        raise MalformedEnvelope(what="a salt or an erased line's hash is not hexadecimal") from error
    raise MalformedEnvelope(what="the salts are missing")


def json_object(text: bytes, name: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MalformedEnvelope(what=f"the {name} is not JSON") from error
    if not isinstance(value, dict):
        raise MalformedEnvelope(what=f"the {name} is not a JSON object")
    return value


def check_size(what: str, size: int, setting: str, *, more: int = 0) -> None:
    """EnvelopeTooLarge when `size` is over the limit. `more`: the largest unit may follow smaller ones."""
    size_max = int(limit(setting)) + more
    if size > size_max:
        raise EnvelopeTooLarge(what=what, size=size, size_max=size_max, setting=setting)
