"""One line of an envelope: a transaction, its payload spliced in raw.

    [unit, model, action, dt, utc_offset, user, reason, previous key, payload]   or with   , producer]

`dt` is the capture's time minus the header's, in microseconds. In the texts before the payload "[" is written
\\u005b, so that the payload begins at the line's second "[" and is taken out as it is, never encoded again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from sync_api.exceptions import MalformedEnvelope
from sync_api.wire.header import TIME_MAX, TIME_MIN, Header

ACTIONS = frozenset("IUDBP")
BASELINE = "B"
MARK = "P"
"""Reserved: everything of this device is to be preserved. It carries null for a payload."""
UTC_OFFSET_MINUTES_MAX = 24 * 60


class Line(NamedTuple):
    """A checked line. `payload` is raw JSON text; `key` is the text of the model's key in it."""

    unit: int
    model: int
    action: str
    captured_at: int
    utc_offset: int | None
    user: str | None
    reason: str | None
    previous_key: str | None
    payload: str | None
    key: str
    producer: int


def quoted(text: str | None) -> str:
    """JSON of a text that stands before the payload."""
    return "null" if text is None else orjson.dumps(text).decode().replace("[", "\\u005b")


def read_lines(header: Header, lines: list[bytes]) -> list[Line]:
    """The lines, checked: types, units that rise by one, a value for every field.

    MalformedEnvelope names the line. Field values are not looked at: that is the consumer's work.
    """
    key_places = [[field[0] for field in model["fields"]].index(model["pk"]) for model in header.models]
    widths = [len(model["fields"]) for model in header.models]
    read: list[Line] = []
    last_unit = -1
    for number, raw in enumerate(lines, header.first):
        line = read_line(raw, number, header, key_places, widths)
        if not last_unit <= line.unit <= last_unit + 1 or line.unit < 0:
            raise bad(number, "its unit does not follow the one before")
        last_unit = line.unit
        read.append(line)
    if last_unit + 1 != header.units:
        raise MalformedEnvelope(what="the number of units is not the header's")
    return read


def read_line(raw: bytes, number: int, header: Header, key_places: list[int], widths: list[int]) -> Line:
    try:
        values = orjson.loads(raw)
        unit, model, action, dt, offset, user, reason, previous, payload, *more = values
    except (ValueError, TypeError) as error:
        raise bad(number, "it is not a list of nine or ten values") from error
    if len(more) > 1 or type(unit) is not int or type(model) is not int or not 0 <= model < len(widths):
        raise bad(number, "its unit, model or producer is wrong")
    producer = more[0] if more else 0
    if type(producer) is not int or not 0 <= producer < len(header.producers):
        raise bad(number, "its producer is not in the header")
    if type(action) is not str or action not in ACTIONS:
        raise bad(number, "its action is not known")
    if type(dt) is not int or not TIME_MIN <= header.time + dt <= TIME_MAX:
        raise bad(number, "its time is not a time")
    if offset is not None and (type(offset) is not int or abs(offset) > UTC_OFFSET_MINUTES_MAX):
        raise bad(number, "its local time is not a time")
    texts = (user, reason, previous)
    for text in texts:
        if text is not None and type(text) is not str:
            raise bad(number, "its user, reason or earlier key is not text")
    moment = header.time + dt
    if action == MARK:
        if payload is not None:
            raise bad(number, "a mark carries no values")
        return Line(unit, model, action, moment, offset, *map(clean, texts), None, "", producer)
    if type(payload) is not list or len(payload) != widths[model]:
        raise bad(number, "its values do not fit the model's fields")
    key = payload[key_places[model]]
    if type(key) is not str and type(key) is not int:
        raise bad(number, "its key is neither text nor number")
    text = raw_payload(raw, number, values, texts)
    return Line(unit, model, action, moment, offset, *map(clean, texts), text, clean(str(key)) or "", producer)


def raw_payload(raw: bytes, number: int, values: list[Any], texts: tuple[str | None, ...]) -> str:
    """The payload's own bytes, as text."""
    start = raw.index(b"[", 1)
    if any(text is not None and "[" in text for text in texts) or raw[:1] != b"[":
        try:
            agrees = orjson.loads(raw[:start].rstrip(b", ") + b"]") == values[:8]
        except ValueError:
            agrees = False
        if not agrees:
            raise bad(number, "a bracket before the values is not escaped")
    return raw[start : raw.rindex(b"]", start, len(raw.rstrip()) - 1) + 1].decode()


def clean(text: str | None) -> str | None:
    """Without NUL, which PostgreSQL's text cannot hold."""
    return text if text is None or "\0" not in text else text.replace("\0", "\\u0000")


def bad(number: int, what: str) -> MalformedEnvelope:
    return MalformedEnvelope(what=f"in line {number} {what}")


def effective_times(lines: list[Line], effective: int) -> tuple[list[int], int]:
    """Each line's effective time: that of its unit's last change, and never before the unit before it."""
    times: list[int] = []
    begin = 0
    for index, line in enumerate(lines):
        if index + 1 == len(lines) or lines[index + 1].unit != line.unit:
            effective = max(effective, line.captured_at)
            times += [effective] * (index + 1 - begin)
            begin = index + 1
    return times, effective
