"""One line of an envelope: a transaction, its payload spliced in raw.

    [unit, model, action, dt, utc_offset, user, reason, previous key, payload]   or with   , producer]

`dt` is the capture's time minus the header's, in microseconds. In the texts before the payload "[" is written
\\u005b, so that the payload begins at the line's second "[" and is taken out as it is, never encoded again.
The action "P" (a mark that preserves, with null for its payload) is reserved and not taken yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

import orjson

from sync_api.exceptions import ErasedLineUnproven, MalformedEnvelope
from sync_api.wire.chain import ERASED_MARK
from sync_api.wire.header import TIME_MAX, TIME_MIN, Header

ACTIONS = frozenset("IUDB")
BASELINE = "B"
OFFSET_MINUTES_MAX = 24 * 60


class Line(NamedTuple):
    """A checked line. `payload` is raw JSON text, `key` the value of the model's key in it."""

    unit: int
    model: int
    action: str
    captured_at: int
    utc_offset: int | None
    user: str | None
    reason: str | None
    previous_key: str | None
    payload: str
    key: str | int
    producer: int


def quoted(text: str | None) -> str:
    """JSON of a text that stands before the payload."""
    return "null" if text is None else orjson.dumps(text).decode().replace("[", "\\u005b")


def read_lines(header: Header, lines: Sequence[bytes]) -> Iterator[Line]:
    """The lines, checked: types, units that rise by one, a value for every field of the model.

    MalformedEnvelope names the line, ErasedLineUnproven one that is replaced by its hash. Field values are not
    looked at: that is the consumer's work.
    """
    widths = [len(model["fields"]) for model in header.models]
    keys = [[field[0] for field in model["fields"]].index(model["pk"]) for model in header.models]
    models, producers, last = len(widths), len(header.producers), -1
    for number, raw in enumerate(lines, 1):
        values = split(number, raw)
        unit, model, action, dt, offset, user, reason, previous, payload = values[:9]
        producer = values[9] if len(values) == 10 else 0
        if type(unit) is not int or not last <= unit <= last + 1 or unit < 0:
            refuse(number, "its unit does not follow the one before")
        if type(model) is not int or not 0 <= model < models:
            refuse(number, "its model is not in the header")
        if type(action) is not str or action not in ACTIONS:
            refuse(number, "its action is not known")
        if type(dt) is not int or not TIME_MIN <= header.time + dt <= TIME_MAX:
            refuse(number, "its time is not a time")
        if type(payload) is not list or len(payload) != widths[model]:
            refuse(number, "its values do not fit the model's fields")
        key = payload[keys[model]]
        if type(key) is not str and type(key) is not int:
            refuse(number, "its key is neither text nor a number")
        if type(producer) is not int or not 0 <= producer < producers:
            refuse(number, "its producer is not in the header")
        check_context(number, offset, user, reason, previous)
        last, text, moment = unit, cut(number, raw, values), header.time + dt
        yield Line(unit, model, action, moment, offset, user, reason, previous, text, key, producer)
    if last + 1 != header.units:
        raise MalformedEnvelope(what="the number of units is not the header's")


def split(number: int, raw: bytes) -> list[Any]:
    """The nine or ten values of a line."""
    if raw[:1] == ERASED_MARK:
        raise ErasedLineUnproven(line=number)
    try:
        values = orjson.loads(raw)
    except orjson.JSONDecodeError:
        refuse(number, "it is not JSON")
    if type(values) is not list or not 9 <= len(values) <= 10:
        refuse(number, "it is not a list of nine or ten values")
    return values


def cut(number: int, raw: bytes, values: list[Any]) -> str:
    """The payload's own text."""
    start = raw.index(b"[", raw.index(b"[") + 1)
    for text in values[5:8]:
        if text is not None and "[" in text:
            check_brackets(number, raw[:start], values)
    end = raw.rindex(b"]")
    return raw[start : raw.rindex(b"]", start, end) + 1].decode()


def check_brackets(number: int, before: bytes, values: list[Any]) -> None:
    """A text holds a bracket: the payload begins at the second "[" only if that one is escaped."""
    try:
        told = orjson.loads(before.rstrip(b", ") + b"]")
    except orjson.JSONDecodeError:
        told = None
    if told != values[:8]:
        refuse(number, "a bracket before the values is not escaped")


def check_context(number: int, offset: object, user: object, reason: object, previous: object) -> None:
    if offset is not None and (type(offset) is not int or abs(offset) > OFFSET_MINUTES_MAX):
        refuse(number, "its local time is not valid")
    for value in (user, reason, previous):
        if value is not None and type(value) is not str:
            refuse(number, "its user, reason or earlier key is not text")


def refuse(number: int, what: str) -> NoReturn:
    raise MalformedEnvelope(what=f"line {number}: {what}")
