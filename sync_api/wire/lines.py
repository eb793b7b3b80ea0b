"""One line of an envelope: a transaction, its payload spliced in raw.

    [unit, model, action, dt, utc_offset, user, reason, previous key, payload]   or with   , producer]

`dt` is the capture's time minus the header's, in microseconds. In the texts before the payload "[" is written
\\u005b, so that the payload begins at the line's second "[" and is taken out as it is, never encoded again.
The action "P" is a mark (sync_api.wire.marks): alone in its unit, and last in its batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import orjson

from sync_api.exceptions import ErasedLineUnproven, MalformedEnvelope
from sync_api.wire.chain import ERASED_MARK
from sync_api.wire.erasing import ErasedLines
from sync_api.wire.header import TIME_MAX, TIME_MIN, Header
from sync_api.wire.marks import MARK, MARK_LABEL
from sync_api.wire.plain_lines import NUL_ESCAPE, OFFSET_MINUTES_MAX, Line, plain_lines
from sync_api.wire.sealed_payloads import BASE64, SEALED_KEY

ACTIONS = frozenset("IUDBP")
BASELINE = "B"
KEY_TYPES = frozenset({str, int})

PART = 1_000
"""Lines that are looked at together: the database takes them in while the next are read."""


NOTHING_ERASED: ErasedLines = {}


def quoted(text: str | None) -> str:
    """JSON of a text that stands before the payload."""
    return "null" if text is None else orjson.dumps(text).decode().replace("[", "\\u005b")


def read_lines(header: Header, lines: Sequence[bytes], erased: ErasedLines = NOTHING_ERASED) -> Iterator[Line]:
    """The lines, checked: types, units that rise by one, a value for every field of the model.

    MalformedEnvelope names the line, ErasedLineUnproven one that is replaced by its hash and not among `erased`, which
    orders prove. Field values are not looked at: that is the consumer's work. Of the lines before a wrong one, some may
    be given first.
    """
    last = -1
    for start in range(0, len(lines), PART):
        part = lines[start : start + PART]
        read = plain_lines(header, part, last)
        if read is None:
            for line in one_by_one(header, part, erased, start, last):
                last = line.unit
                yield line
        else:
            last = read[-1].unit
            yield from read
    if last + 1 != header.units:
        raise MalformedEnvelope(what="the number of units is not the header's")


def one_by_one(header: Header, lines: Sequence[bytes], erased: ErasedLines, before: int, last: int) -> Iterator[Line]:
    """Lines after `before` others, the last of unit `last`. The checks stand in one expression; what exactly was wrong
    is found out afterwards."""
    widths = [len(model["fields"]) for model in header.models]
    keys = [[field[0] for field in model["fields"]].index(model["pk"]) for model in header.models]
    models, producers = len(widths), len(header.producers)
    mark_model = next((index for index, model in enumerate(header.models) if model["label"] == MARK_LABEL), -1)
    earliest, latest = TIME_MIN - header.time, TIME_MAX - header.time
    known: tuple[Any, Any, Any] = (None, None, None)
    for number, raw in enumerate(lines, before + 1):
        if raw[:1] == ERASED_MARK:
            line = erased_line(header, erased, number, last)
            last = line.unit
            yield line
            continue
        values = split(number, raw)
        unit, model, action, dt, offset, user, reason, previous, payload, *more = values
        producer = more[0] if more else 0
        if (action == MARK or model == mark_model) and not is_mark_in_place(header, number, values, last):
            refuse(number, "a mark is not the last unit of its batch, or is none")
        if not (
            type(unit) is int
            and last <= unit <= last + 1
            and unit >= 0
            and type(model) is int
            and 0 <= model < models
            and type(action) is str
            and action in ACTIONS
            and type(dt) is int
            and earliest <= dt <= latest
            and (offset is None or (type(offset) is int and -OFFSET_MINUTES_MAX <= offset <= OFFSET_MINUTES_MAX))
            and type(payload) is list
            and len(payload) == widths[model]
            and type(key := payload[keys[model]]) in KEY_TYPES
            and type(producer) is int
            and 0 <= producer < producers
        ):
            if header.sealed and (sealed := sealed_line(header, values, last)) is not None:
                last = unit
                yield sealed
                continue
            refuse(number, complaint(values, last, widths))
        start = raw.index(b"[", raw.index(b"[") + 1)
        if (user, reason, previous) != known and are_plain(number, raw[:start], values):
            known = (user, reason, previous)
        if NUL_ESCAPE in raw:
            user, reason, previous, key = map(shown, (user, reason, previous, key))
        text = raw[start : raw.rindex(b"]", start, raw.rindex(b"]")) + 1].decode()
        last = unit
        yield Line(unit, model, action, header.time + dt, offset, user, reason, previous, text, key, producer)


def is_mark_in_place(header: Header, number: int, values: list[Any], last: int) -> bool:
    """Whether a line that is a mark, or claims the marks' model, is both, alone in its unit and last in its batch."""
    unit, model, action = values[:3]
    is_one = type(model) is int and 0 <= model < len(header.models) and header.models[model]["label"] == MARK_LABEL
    return bool(action == MARK and is_one and number == header.count and unit == last + 1)


def sealed_line(header: Header, values: list[Any], last: int) -> Line | None:
    """The line of a sealed model that was not opened, checked like any other; None where it is not one."""
    unit, model, action, dt, offset, user, reason, previous, payload, *more = values
    producer = more[0] if more else 0
    is_one = (
        type(payload) is str
        and BASE64.fullmatch(payload) is not None
        and reason is None
        and previous is None
        and any(model in group["models"] for group in header.sealed)
    )
    is_sound = (
        type(unit) is int
        and last <= unit <= last + 1
        and unit >= 0
        and type(model) is int
        and type(action) is str
        and action in ACTIONS
        and type(dt) is int
        and TIME_MIN <= header.time + dt <= TIME_MAX
        and (offset is None or (type(offset) is int and -OFFSET_MINUTES_MAX <= offset <= OFFSET_MINUTES_MAX))
        and (user is None or type(user) is str)
        and type(producer) is int
        and 0 <= producer < len(header.producers)
    )
    if not is_one or not is_sound:
        return None
    moment, text = header.time + dt, f'"{payload}"'
    return Line(unit, model, action, moment, offset, shown(user), None, None, text, SEALED_KEY, producer)


def erased_line(header: Header, erased: ErasedLines, number: int, last: int) -> Line:
    """An erased line as its order tells it. ErasedLineUnproven without one, or with one that does not fit the batch."""
    told = erased.get(number - 1)
    if told is None or not (
        last <= told.unit <= last + 1 and told.model < len(header.models) and told.producer < len(header.producers)
    ):
        raise ErasedLineUnproven(line=number)
    facts = (told.unit, told.model, told.action, told.captured_at, told.utc_offset, told.user, told.reason)
    return Line(*facts, told.previous_key, None, told.key, told.producer)


def split(number: int, raw: bytes) -> list[Any]:
    """The nine or ten values of a line."""
    try:
        values = orjson.loads(raw)
    except orjson.JSONDecodeError:
        refuse(number, "it is not JSON")
    if type(values) is not list or not 9 <= len(values) <= 10:
        refuse(number, "it is not a list of nine or ten values")
    return values


def complaint(values: list[Any], last: int, widths: list[int]) -> str:
    """What is wrong with a line that did not pass."""
    unit, model, action, dt, _, _, _, _, payload, *_ = values
    if type(unit) is not int or not last <= unit <= last + 1 or unit < 0:
        return "its unit does not follow the one before"
    if type(model) is not int or not 0 <= model < len(widths):
        return "its model is not in the header"
    if type(action) is not str or action not in ACTIONS:
        return "its action is not known"
    if type(dt) is not int:
        return "its time is not a time"
    if type(payload) is not list or len(payload) != widths[model]:
        return "its values do not fit the model's fields"
    return "its time, local time, key or producer is not valid"


def are_plain(number: int, before: bytes, values: list[Any]) -> bool:
    """User, reason and earlier key are text; False if one holds a bracket, which must be escaped each time."""
    texts = values[5:8]
    if any(text is not None and type(text) is not str for text in texts):
        refuse(number, "its user, reason or earlier key is not text")
    if not any(text is not None and "[" in text for text in texts):
        return True
    try:
        told = orjson.loads(before.rstrip(b", ") + b"]")
    except orjson.JSONDecodeError:
        told = None
    if told != values[:8]:
        refuse(number, "a bracket before the values is not escaped")
    return False


def shown(value: Any) -> Any:
    """A text with NUL shown by its sign: PostgreSQL cannot hold NUL. The payload's own text keeps it."""
    return value.replace("\0", "\N{SYMBOL FOR NULL}") if isinstance(value, str) else value


def refuse(number: int, what: str) -> NoReturn:
    raise MalformedEnvelope(what=f"line {number}: {what}")
