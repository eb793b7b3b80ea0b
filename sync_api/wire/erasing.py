"""Erased lines: a line gives way to its hash, the batch's salt to the salts of the lines that stay.

Header, signature and batch hash stay as they were, so the chain verifies. What an erased line was about is told by a
signed order (see `sync_api.wire.statements`): its facts, without any value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, TypeAlias

import orjson
import zstandard

from sync_api.wire import chain
from sync_api.wire.format import COMPRESSION_LEVEL, PREFIX_BYTES, json_object, unpack
from sync_api.wire.header import TIME_MAX, TIME_MIN

REASON_LENGTH_MAX = 500


class ErasedLine(NamedTuple):
    """What stays known of an erased line: its place from 0 and whose change of which record it was, when and why.

    In a statement it is a list in this order. `captured_at` is in microseconds.
    """

    place: int
    unit: int
    model: int
    action: str
    captured_at: int
    utc_offset: int | None
    user: str | None
    reason: str | None
    previous_key: str | None
    key: str
    producer: int


ErasedLines: TypeAlias = Mapping[int, ErasedLine]
"""By place: the lines of one batch that an order names."""


def is_erased_line(value: Any) -> bool:
    """Whether it has the form of the facts of an erased line."""
    if not isinstance(value, list) or len(value) != len(ErasedLine._fields):
        return False
    line = ErasedLine(*value)
    numbers = (line.place, line.unit, line.model, line.producer)
    return (
        all(type(number) is int and number >= 0 for number in numbers)
        and line.action in ("I", "U", "D", "B")
        and type(line.captured_at) is int
        and TIME_MIN <= line.captured_at <= TIME_MAX
        and (line.utc_offset is None or type(line.utc_offset) is int)
        and all(text is None or type(text) is str for text in (line.user, line.reason, line.previous_key))
        and type(line.key) is str
    )


def erase_lines(content: bytes, indices: Collection[int]) -> bytes:
    """The envelope with these lines (from 0) replaced by their hashes. Again, it gives the same bytes.

    The batch hash is recomputed and must stay: ValueError otherwise, and for an index that is not there.
    """
    header, salt_line, *lines = unpack(content[PREFIX_BYTES:]).split(b"\n")
    salts = own_salts(json_object(salt_line, "salts"), len(lines))
    before = chain.batch_hash(header, chain.erased_line_hashes(salts, lines))
    if not all(0 <= index < len(lines) for index in indices):
        raise ValueError("The batch has no such line.")
    if all(salts[index] is None for index in indices):
        return content
    for index in indices:
        salt = salts[index]
        if salt is not None:
            lines[index] = chain.ERASED_MARK + chain.line_hash(salt, lines[index]).hex().encode()
            salts[index] = None
    if chain.batch_hash(header, chain.erased_line_hashes(salts, lines)) != before:
        raise ValueError("Erasing changed the batch's hash.")
    told = orjson.dumps({"salts": [None if salt is None else salt.hex() for salt in salts]})
    packed = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL).compress(b"\n".join((header, told, *lines)))
    return content[:PREFIX_BYTES] + packed


def own_salts(told: dict[str, Any], count: int) -> list[bytes | None]:
    """The salt of each line; None where the line is erased."""
    if "salt" in told:
        salt = bytes.fromhex(told["salt"])
        return [chain.line_salt(salt, index) for index in range(count)]
    return [None if salt is None else bytes.fromhex(salt) for salt in told["salts"]]
