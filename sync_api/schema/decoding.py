"""From a raw value of a payload to the Python value that the device itself reads back: for admin and tests."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import models
from django.utils.dateparse import parse_date, parse_datetime, parse_time

SQLITE_DECIMAL = Context(prec=15)
"""As Django reads a decimal from SQLite."""


def read_value(kind: str, raw: Any, field: models.Field[Any, Any] | None, storage: str) -> Any:
    """The value of `raw`, captured as `kind` on `storage` ("sqlite" or "postgresql"). None stays None.

    `field` gives decimals their places and JSON its decoder; without it both are read as they came.
    Raises ValueError (or TypeError) when `raw` has not the form of its kind.
    """
    if raw is None:
        return None
    try:
        if kind == "decimal":
            return read_decimal(raw, field, storage)
        if kind == "json":
            return json.loads(raw, cls=getattr(field, "decoder", None))
        if kind == "reference":
            return tuple(orjson.loads(raw))
        return READERS[kind](raw)
    except (ArithmeticError, AttributeError, LookupError, RecursionError) as error:  # it comes from outside
        raise ValueError("It has not the form of its kind.") from error


def read_payload(description: dict[str, Any], payload: str | None) -> dict[str, Any]:
    """{field name: raw value} of a payload, by its description."""
    if payload is None:
        return {}
    names = [name for name, _, _ in description["fields"]]
    return dict(zip(names, orjson.loads(payload), strict=True))


def read_decimal(raw: Any, field: models.Field[Any, Any] | None, storage: str) -> Decimal:
    if storage == "postgresql":
        return Decimal(raw)
    number = SQLITE_DECIMAL.create_decimal_from_float(float(raw) if isinstance(raw, str) else raw)
    if not isinstance(field, models.DecimalField):
        return number
    return number.quantize(Decimal(1).scaleb(-field.decimal_places), context=field.context)


def read_boolean(raw: Any) -> bool:
    if raw not in (0, 1):
        raise ValueError("A boolean is 0, 1, true or false.")
    return bool(raw)


def read_integer(raw: Any) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise TypeError("An integer is a JSON number.")
    return raw


def read_text(raw: Any) -> str:
    if not isinstance(raw, str):
        raise TypeError("A text is a JSON string.")
    return raw


def read_float(raw: Any) -> float:
    number = float(raw)
    return math.nan if number != number else number


def read_datetime(raw: str) -> datetime:
    moment: datetime = required(parse_datetime(raw))
    return moment.replace(tzinfo=UTC) if settings.USE_TZ else moment


def required(parsed: Any) -> Any:
    if parsed is None:
        raise ValueError("It has not the form of its kind.")
    return parsed


READERS: dict[str, Callable[[Any], Any]] = {
    "integer": read_integer,
    "boolean": read_boolean,
    "float": read_float,
    "text": read_text,
    "ip": read_text,
    "contenttype": read_text,
    "date": lambda raw: required(parse_date(raw)),
    "time": lambda raw: required(parse_time(raw)),
    "datetime": read_datetime,
    "duration": lambda raw: timedelta(microseconds=int(raw)),
    "binary": bytes.fromhex,
    "uuid": lambda raw: UUID(hex=raw),
}
