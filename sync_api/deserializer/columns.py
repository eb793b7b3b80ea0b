"""From the raw values of one column to database parameters of the mirror, a whole column at a time.

The forms of raw values are listed in `docs/explanation/envelope.md` (by kind). Every decoder takes the values
that are not null and raises one of BAD_VALUE when any of them does not fit its column.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Context, Decimal
from functools import partial
from ipaddress import ip_address
from typing import Any, TypeAlias

import orjson
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import format_number

Column: TypeAlias = Sequence[Any]
Decode: TypeAlias = Callable[[Column], Column]

BAD_VALUE = (ValueError, TypeError, ArithmeticError, AttributeError, RecursionError)
"""What a decoder raises. (OverflowError and decimal.InvalidOperation are ArithmeticErrors.)"""

SQLITE_DECIMAL = Context(prec=15)
"""As Django reads a decimal from SQLite."""
SQLITE_DECIMAL_DIGITS = 15

UUIDS = re.compile(r"(?:[0-9a-f]{32},)*")
DATES = re.compile(r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2},)*")
TIMES = re.compile(r"(?:[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?,)*")
MOMENTS = re.compile(r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?,)*")
FLOATS = re.compile(r"(?:[-+]?(?:[0-9]+\.?[0-9]*(?:[eE][-+]?[0-9]+)?|Inf(?:inity)?|NaN),)*")

FLOAT_MIN, FLOAT_MAX = 1e-300, 1e300

KINDS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("IntegerField", "BigIntegerField", "SmallIntegerField"), frozenset({"integer"})),
    **dict.fromkeys(("CharField", "TextField"), frozenset({"text", "reference", "contenttype"})),
    **dict.fromkeys(("SlugField", "FilePathField"), frozenset({"text"})),
    "BooleanField": frozenset({"boolean"}),
    "FloatField": frozenset({"float"}),
    "DecimalField": frozenset({"decimal"}),
    "DateField": frozenset({"date"}),
    "TimeField": frozenset({"time"}),
    "DateTimeField": frozenset({"datetime"}),
    "DurationField": frozenset({"duration"}),
    "BinaryField": frozenset({"binary"}),
    "JSONField": frozenset({"json"}),
    "UUIDField": frozenset({"uuid"}),
    "GenericIPAddressField": frozenset({"ip"}),
}
"""The kinds that a mirror column can hold, by its field's internal type."""


def decoder_for(
    field: models.Field[Any, Any], kind: str, storage: str, connection: BaseDatabaseWrapper
) -> Decode | None:
    """The decoder of one mirror column for values of `kind` captured on `storage`; None if it cannot hold them."""
    if kind not in KINDS.get(field.get_internal_type(), ()):
        return None
    on_sqlite = connection.vendor == "sqlite"
    if kind == "integer":
        low, high = connection.ops.integer_field_range(field.get_internal_type())
        return partial(integers, low, high)
    if kind == "decimal":
        return decimal_decoder(field, storage, on_sqlite=on_sqlite)
    if kind in ("text", "reference", "contenttype"):
        return texts if on_sqlite else partial(texts_for_postgresql, getattr(field, "max_length", None))
    return (FOR_SQLITE if on_sqlite else FOR_POSTGRESQL)[kind]


def decode(decoder: Decode, column: Column, *, nullable: bool = True) -> tuple[Column, list[int]]:
    """The column's parameters, and the numbers of the values that do not fit (None stands in their place)."""
    try:
        if None not in column:
            return decoder(column), []
        if nullable:
            decoded = iter(decoder([value for value in column if value is not None]))
            return [None if value is None else next(decoded) for value in column], []
    except BAD_VALUE:
        pass
    return one_by_one(decoder, column, nullable=nullable)


def one_by_one(decoder: Decode, column: Column, *, nullable: bool) -> tuple[Column, list[int]]:
    values: list[Any] = [None] * len(column)
    bad = []
    for number, value in enumerate(column):
        try:
            if value is not None:
                (values[number],) = decoder([value])
            elif not nullable:
                bad.append(number)
        except BAD_VALUE:
            bad.append(number)
    return values, bad


def must(fits: bool) -> None:
    if not fits:
        raise ValueError


def only(column: Column, *types: type) -> None:
    must(set(map(type, column)) <= set(types))


def form(pattern: re.Pattern[str], column: Column) -> None:
    """Every value is a text of this form. (`join` refuses what is no text; no form holds a comma.)"""
    must(pattern.fullmatch(",".join([*column, ""])) is not None and ("," not in "".join(column)))


def integers(low: int | None, high: int | None, column: Column) -> Column:
    only(column, int)
    must(not column or ((low is None or min(column) >= low) and (high is None or max(column) <= high)))
    return column


def booleans(column: Column) -> Column:
    only(column, int, bool)
    must(set(column) <= {0, 1})
    return list(map(bool, column))


def booleans_for_sqlite(column: Column) -> Column:
    return list(map(int, booleans(column)))


def floats(column: Column) -> Column:
    form(FLOATS, column)
    return list(map(float, column))


def floats_for_postgresql(column: Column) -> Column:
    """As they came, in 17 digits: PostgreSQL reads them as Python does, and nobody need write them again. Not so near
    the ends of the range, where it refuses what Python rounds."""
    return [
        text if FLOAT_MIN < abs(number) < FLOAT_MAX else repr(number)
        for text, number in zip(column, floats(column), strict=True)
    ]


def floats_for_sqlite(column: Column) -> Column:
    """SQLite would store NaN as null."""
    numbers = floats(column)
    must(not any(number != number for number in numbers))
    return numbers


def texts(column: Column) -> Column:
    only(column, str)
    return column


def texts_for_postgresql(length_max: int | None, column: Column) -> Column:
    must("\0" not in "".join(column))
    must(length_max is None or not column or max(map(len, column)) <= length_max)
    return column


def dates(column: Column) -> Column:
    form(DATES, column)
    for _ in map(date.fromisoformat, column):
        pass
    return column


def times(column: Column) -> Column:
    form(TIMES, column)
    return list(map(str, map(time.fromisoformat, column)))


def moments_for_sqlite(column: Column) -> Column:
    """Text as Django stores it, so that moments compare as text."""
    form(MOMENTS, column)
    return list(map(str, map(datetime.fromisoformat, column)))


def moments_for_postgresql(column: Column) -> Column:
    return [text + "+00" for text in moments_for_sqlite(column)]


def durations(column: Column) -> Column:
    only(column, int)
    return [timedelta(microseconds=microseconds) for microseconds in column]


def durations_for_sqlite(column: Column) -> Column:
    durations(column)
    return column


def binaries(column: Column) -> Column:
    decoded = list(map(bytes.fromhex, column))
    must(sum(map(len, decoded)) * 2 == sum(map(len, column)))  # fromhex passes over spaces
    return decoded


def jsons(column: Column) -> Column:
    only(column, str)
    for _ in map(json_value, column):
        pass
    return column


def jsons_for_postgresql(column: Column) -> Column:
    """jsonb holds no NUL in a text or a name."""
    only(column, str)
    for text in column:
        value = json_value(text)
        must("\\u0000" not in text or not has_nul(value))
    return column


def json_value(text: str) -> Any:
    """orjson knows no number beyond a double's; databases do."""
    try:
        return orjson.loads(text)
    except ValueError:
        try:
            return json.loads(text, parse_constant=no_constant)
        except RecursionError as error:
            raise ValueError from error


def no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(has_nul(name) or has_nul(held) for name, held in value.items())
    return isinstance(value, list) and any(map(has_nul, value))


def uuids(column: Column) -> Column:
    form(UUIDS, column)
    return column


def addresses(column: Column) -> Column:
    only(column, str)
    for _ in map(ip_address, column):
        pass
    return column


def decimal_decoder(field: Any, storage: str, *, on_sqlite: bool) -> Decode:
    """What the device itself reads back: SQLite's number in 15 digits, PostgreSQL's numeric as it is."""
    context: Context = field.context
    places = Decimal(1).scaleb(-field.decimal_places)
    digits: int = field.max_digits

    def as_read_from_sqlite(value: Any) -> Decimal:
        number = SQLITE_DECIMAL.create_decimal_from_float(float(value) if isinstance(value, str) else value)
        return number.quantize(places, context=context)

    def as_read_from_postgresql(value: Any) -> Decimal:
        number = Decimal(value)
        if number.is_nan() and not on_sqlite:
            return number
        fitted = number.quantize(places, context=context)
        must(fitted == number)
        return fitted

    read = as_read_from_sqlite if storage == "sqlite" else as_read_from_postgresql

    def whole(column: Column) -> Column:
        only(column, str, int)
        numbers = list(map(read, column))
        if on_sqlite and digits > SQLITE_DECIMAL_DIGITS:
            must(all(as_read_from_sqlite(str(number)) == number for number in numbers))
        return ["NaN" if number.is_nan() else format_number(number, digits, field.decimal_places) for number in numbers]

    return whole


FOR_POSTGRESQL: dict[str, Decode] = {
    "boolean": booleans,
    "float": floats_for_postgresql,
    "date": dates,
    "time": times,
    "datetime": moments_for_postgresql,
    "duration": durations,
    "binary": binaries,
    "json": jsons_for_postgresql,
    "uuid": uuids,
    "ip": addresses,
}
FOR_SQLITE: dict[str, Decode] = FOR_POSTGRESQL | {
    "boolean": booleans_for_sqlite,
    "float": floats_for_sqlite,
    "datetime": moments_for_sqlite,
    "duration": durations_for_sqlite,
    "json": jsons,
}
