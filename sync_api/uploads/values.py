"""From a client's JSON values to database parameters of the mirror, a whole column at a time.

The forms are listed in `docs/reference/uploads.md`. Every decoder takes the values that are not null and raises one of
BAD_VALUE when any of them does not fit its column.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from ipaddress import ip_address
from typing import Any, TypeAlias
from uuid import UUID

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import format_number
from django.utils.dateparse import parse_duration

Column: TypeAlias = Sequence[Any]
Decode: TypeAlias = Callable[[Column], list[Any]]

BAD_VALUE = (ValueError, TypeError, ArithmeticError, AttributeError, RecursionError, KeyError)
"""What a decoder raises. (binascii.Error and UnicodeEncodeError are ValueErrors.)"""

EPOCH = datetime(1970, 1, 1)
MICROSECOND = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
SQLITE_DECIMAL_DIGITS = 15
UUIDS = re.compile(r"(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12},)*")
"""As most clients write them."""


def decoder_for(
    source: models.Field[Any, Any], mirror: models.Field[Any, Any], connection: BaseDatabaseWrapper
) -> Decode:
    """The decoder of one column: what the client may send there, as parameters for this database."""
    kind = mirror.get_internal_type()
    on_sqlite = connection.vendor == "sqlite"
    if kind in ("IntegerField", "BigIntegerField", "SmallIntegerField"):
        return partial(integers, *connection.ops.integer_field_range(kind))
    if kind == "DecimalField":
        return partial(decimals, mirror, on_sqlite)
    if source.is_relation and source.name in getattr(source.model, "sync_references", {}):
        return references
    if kind in ("CharField", "TextField", "SlugField", "FilePathField", "FileField"):
        return partial(texts, getattr(mirror, "max_length", None))
    return (FOR_SQLITE if on_sqlite else FOR_POSTGRESQL)[kind]


def decode(decoder: Decode, column: Column) -> tuple[list[Any], int | None]:
    """The column's parameters, nulls in their places; or the number of the first value that does not fit."""
    try:
        if None not in column:
            return decoder(column), None
        decoded = iter(decoder([value for value in column if value is not None]))
        return [None if value is None else next(decoded) for value in column], None
    except BAD_VALUE:
        return [], first_bad(decoder, column)


def first_bad(decoder: Decode, column: Column) -> int:
    for number, value in enumerate(column):
        try:
            if value is not None:
                decoder([value])
        except BAD_VALUE:
            return number
    raise AssertionError("the column does not fit as a whole, and each of its values does")


def must(fits: bool) -> None:
    if not fits:
        raise ValueError


def only(column: Column, *types: type) -> None:
    must(set(map(type, column)) <= set(types))


def integers(low: int | None, high: int | None, column: Column) -> list[Any]:
    only(column, int)
    must(not column or ((low is None or min(column) >= low) and (high is None or max(column) <= high)))
    return list(column)


def booleans(column: Column) -> list[Any]:
    only(column, int, bool)
    must(set(column) <= {0, 1})
    return list(map(bool, column))


def booleans_for_sqlite(column: Column) -> list[Any]:
    return list(map(int, booleans(column)))


def floats(column: Column) -> list[Any]:
    only(column, int, float)
    numbers = list(map(float, column))
    must(all(map(math.isfinite, numbers)))
    return numbers


def decimals(field: Any, on_sqlite: bool, column: Column) -> list[Any]:
    """Neither rounded nor cut; on SQLite no more digits than it holds."""
    only(column, str, int, float)
    digits, places = field.max_digits, field.decimal_places
    unit = Decimal(1).scaleb(-places)
    told = []
    for value in column:
        number = Decimal(str(value))
        must(number.is_finite())
        fitted = number.quantize(unit, context=field.context)
        must(fitted == number and len(fitted.as_tuple().digits) <= digits)
        must(not on_sqlite or len(fitted.normalize().as_tuple().digits) <= SQLITE_DECIMAL_DIGITS)
        told.append(format_number(fitted, digits, places))
    return told


def texts(length_max: int | None, column: Column) -> list[Any]:
    only(column, str)
    whole = "".join(column)
    must("\0" not in whole)
    if not whole.isascii():
        whole.encode()
    must(length_max is None or not column or max(map(len, column)) <= length_max)
    return list(column)


def references(column: Column) -> list[Any]:
    """A natural key: a list of texts, numbers and nulls."""
    only(column, list)
    for key in column:
        must(all(isinstance(part, str | int | float | None) for part in key))
    return texts(None, [json.dumps(key, separators=(",", ":"), ensure_ascii=False) for key in column])


def dates(column: Column) -> list[Any]:
    only(column, str)
    must(set(map(len, column)) <= {10})
    return list(map(str, map(date.fromisoformat, column)))


def times(column: Column) -> list[Any]:
    only(column, str)
    read = list(map(time.fromisoformat, column))
    must(all(value.tzinfo is None for value in read))
    return list(map(str, read))


def moments(column: Column) -> list[datetime]:
    """Each with its offset: a time without one could mean several."""
    only(column, str)
    read = list(map(datetime.fromisoformat, column))
    must(all(value.tzinfo is not None for value in read))
    return read


def moments_for_sqlite(column: Column) -> list[Any]:
    """Text as Django stores it, so that moments compare as text."""
    return [str(value.astimezone(UTC).replace(tzinfo=None)) for value in moments(column)]


def moments_for_postgresql(column: Column) -> list[Any]:
    return [text + "+00" for text in moments_for_sqlite(column)]


def instants(column: Column) -> tuple[list[int | None], list[int | None]]:
    """Of checked moments: microseconds since 1970 UTC, and minutes of their offset."""
    whens: list[int | None] = []
    offsets: list[int | None] = []
    for text in column:
        if text is None:
            whens.append(None)
            offsets.append(None)
            continue
        value = datetime.fromisoformat(text)
        offset = value.utcoffset()
        assert offset is not None, "moments are checked"
        whens.append((value.replace(tzinfo=None) - offset - EPOCH) // MICROSECOND)
        offsets.append(offset // MINUTE)
    return whens, offsets


def durations(column: Column) -> list[Any]:
    return [duration(value) for value in column]


def duration(value: Any) -> timedelta:
    if type(value) is int:
        return timedelta(microseconds=value)
    parsed = parse_duration(value)
    must(parsed is not None)
    return parsed  # type: ignore[return-value]


def durations_for_sqlite(column: Column) -> list[Any]:
    whole = [value // MICROSECOND for value in durations(column)]
    must(all(abs(value) < 2**63 for value in whole))
    return whole


def binaries(column: Column) -> list[Any]:
    return list(map(binary, column))


def binary(value: Any) -> bytes:
    """Bytes; or text: base64, or tagged {"base64": ...} or {"hex": ...}."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return base64.b64decode(value, validate=True)
    ((form, text),) = value.items()
    must(isinstance(text, str))
    if form == "hex":
        return bytes.fromhex(text)
    must(form == "base64")
    return base64.b64decode(text, validate=True)


def jsons(column: Column) -> list[Any]:
    return texts(None, [json.dumps(value, allow_nan=False) for value in column])


def jsons_for_postgresql(column: Column) -> list[Any]:
    """jsonb holds no NUL in a text or a name."""
    told = jsons(column)
    for text in told:
        must("\\u0000" not in text.replace("\\\\", ""))
    return told


def uuids(column: Column) -> list[Any]:
    if UUIDS.fullmatch(",".join([*column, ""])):
        return [value.replace("-", "") for value in column]
    only(column, str)
    return [UUID(value).hex for value in column]


def addresses(column: Column) -> list[Any]:
    only(column, str)
    return list(map(str, map(ip_address, column)))


FOR_POSTGRESQL: dict[str, Decode] = {
    "BooleanField": booleans,
    "FloatField": floats,
    "DateField": dates,
    "TimeField": times,
    "DateTimeField": moments_for_postgresql,
    "DurationField": durations,
    "BinaryField": binaries,
    "JSONField": jsons_for_postgresql,
    "UUIDField": uuids,
    "GenericIPAddressField": addresses,
}
FOR_SQLITE: dict[str, Decode] = FOR_POSTGRESQL | {
    "BooleanField": booleans_for_sqlite,
    "DateTimeField": moments_for_sqlite,
    "DurationField": durations_for_sqlite,
    "JSONField": jsons,
}
"""By the mirror field's internal type."""
