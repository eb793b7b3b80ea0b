"""Bytes on the wire per row, against the same rows as bare JSON lines under zstd level 3, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson
import zstandard

from tests.benchmarks import data, road
from tests.benchmarks.figures import Figure

LEVEL = 3


def run(rows: int) -> Iterator[Figure]:
    with road.enrolled("server"):
        road.fill(road.LAPTOP, rows)
        road.push()
        batches = road.envelopes()
    sent = sum(len(content) for content, _ in batches)
    sizes = [lines for _, lines in batches]
    assert sum(sizes) == rows
    values = data.record_rows(rows, seed="way")
    objects, arrays = 0, 0
    for size in sizes:
        part = list(islice(values, size))
        objects += compressed(part)
        arrays += compressed([list(row.values()) for row in part])
    yield Figure("wire", "bytes per row", "sqlite", rows, sent / rows, "bytes")
    yield Figure("wire", "against JSON lines of objects", "sqlite", rows, sent / objects, "x", "<= 1.15")
    yield Figure("wire", "against JSON lines of arrays", "sqlite", rows, sent / arrays, "x", "<= 1.15")


def compressed(rows: list[Any]) -> int:
    lines = b"\n".join(orjson.dumps(row) for row in rows)
    return len(zstandard.ZstdCompressor(level=LEVEL).compress(lines))
