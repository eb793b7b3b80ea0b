"""Lines with nothing out of the ordinary, read and checked a whole column at a time.

The fast way of `sync_api.wire.lines`: the same checks, each one pass in C over many lines, half the time of looking at
line after line. Whatever is rare (a mark, a sealed line, a NUL, a bracket in a text, lines with and without a
producer, anything wrong) is left to the slow way, which takes it or says which line is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from operator import itemgetter, sub
from typing import Any, NamedTuple

import orjson

from sync_api.wire.header import TIME_MAX, TIME_MIN, Header
from sync_api.wire.marks import MARK_LABEL

CHANGES = frozenset("IUDB")
OFFSET_MINUTES_MAX = 24 * 60
NUL_ESCAPE = b"\\u0000"
TEXT_OR_NULL = {str, type(None)}
INTEGER_OR_NULL = {int, type(None)}

_first, _end = itemgetter(0), itemgetter(slice(-2, None))


class Line(NamedTuple):
    """A checked line. `payload` is raw JSON text, `key` the value of the model's key in it.

    Of a line that is sealed and not opened, `payload` is a JSON text (the ciphertext) and `key` is SEALED_KEY.
    An erased line has no payload; the rest is as the order that proves it says.
    """

    unit: int
    model: int
    action: str
    captured_at: int
    utc_offset: int | None
    user: str | None
    reason: str | None
    previous_key: str | None
    payload: str | None
    key: str | int
    producer: int


def plain_lines(header: Header, raw_lines: Sequence[bytes], last: int) -> list[Line] | None:
    """These lines of the batch, after a line of unit `last` (-1: none before); None when not all of them are plain."""
    if NUL_ESCAPE in b"".join(raw_lines) or set(map(_first, raw_lines)) != {ord("[")}:
        return None
    try:
        rows = list(map(orjson.loads, raw_lines))
    except orjson.JSONDecodeError:
        return None
    lengths = set(map(len, rows))
    if lengths != {9} and lengths != {10}:
        return None
    units, models, actions, times, offsets, users, reasons, previous, payloads, *more = zip(*rows, strict=True)
    if not (
        types(units) == types(models) == types(times) == {int}
        and types(actions) == {str}
        and types(payloads) == {list}
        and types(offsets) <= INTEGER_OR_NULL
        and all(is_plain_text(column) for column in (users, reasons, previous))
        and max(last, 0) <= units[0] <= last + 1
        and set(map(sub, units[1:], units)) <= {0, 1}
        and set(actions) <= CHANGES
        and header.time + min(times) >= TIME_MIN
        and header.time + max(times) <= TIME_MAX
        and all(-OFFSET_MINUTES_MAX <= offset <= OFFSET_MINUTES_MAX for offset in set(offsets) - {None})
    ):
        return None
    keys = keys_of(header, models, payloads)
    texts = payload_texts(raw_lines, has_producers=bool(more))
    producers: Any = more[0] if more else (0,)
    in_range = types(producers) == {int} and min(producers) >= 0 and max(producers) < len(header.producers)
    if keys is None or texts is None or not in_range:
        return None
    moments = [header.time + time for time in times]
    rest = (users, reasons, previous, texts, keys, producers if more else repeat(0))
    return list(map(Line, units, models, actions, moments, offsets, *rest))


def types(column: Sequence[Any]) -> set[type]:
    return set(map(type, column))


def is_plain_text(column: Sequence[Any]) -> bool:
    """Texts and nulls without a bracket: the payload then begins at the line's second one."""
    return types(column) <= TEXT_OR_NULL and "[" not in "".join(filter(None, column))


def keys_of(header: Header, models: Sequence[int], payloads: Sequence[list[Any]]) -> list[Any] | None:
    """The value of each row's key; None unless every row has a value for each field of its model, and a key."""
    if min(models) < 0 or max(models) >= len(header.models):
        return None
    places = {}
    for model in set(models):
        described = header.models[model]
        if described["label"] == MARK_LABEL:
            return None
        places[model] = [field[0] for field in described["fields"]].index(described["pk"])
    widths = {(model, len(header.models[model]["fields"])) for model in places}
    if set(zip(models, map(len, payloads), strict=True)) != widths:
        return None
    keys = [payload[places[model]] for model, payload in zip(models, payloads, strict=True)]
    return keys if types(keys) <= {str, int} else None


def payload_texts(raw_lines: Sequence[bytes], *, has_producers: bool) -> list[str] | None:
    """Each payload as it came, from the line's second bracket on; None where spaces stand before the line's end."""
    starts = [raw.index(b"[", 1) for raw in raw_lines]
    if has_producers:
        ends = [raw.rindex(b"]", start, -1) + 1 for raw, start in zip(raw_lines, starts, strict=True)]
        return [raw[start:end].decode() for raw, start, end in zip(raw_lines, starts, ends, strict=True)]
    if set(map(_end, raw_lines)) != {b"]]"}:
        return None
    return [raw[start:-1].decode() for raw, start in zip(raw_lines, starts, strict=True)]
