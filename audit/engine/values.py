"""When two sets of a row's database parameters mean the same values."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from audit.mirror.tables import MirrorTable


def same_values(table: MirrorTable, left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    """Whether two tuples of database values of `table.columns` mean the same, however each is written."""
    if left == right:
        return True
    return all(
        one == other or (one is not None and other is not None and meaning(one) == meaning(other))
        for meaning, one, other in zip(meanings(table), left, right, strict=True)
    )


def same_rows(table: MirrorTable, lefts: Sequence[Sequence[Any]], rights: Sequence[Sequence[Any]]) -> list[bool]:
    """The same of many rows, given as columns of `table.columns` on either side: one answer per row."""
    same = [True] * len(lefts[0])
    for meaning, left, right in zip(meanings(table), lefts, rights, strict=True):
        if left == right:
            continue
        for place, (one, other) in enumerate(zip(left, right, strict=True)):
            if one != other and same[place]:
                same[place] = one is not None and other is not None and meaning(one) == meaning(other)
    return same


@cache
def meanings(table: MirrorTable) -> tuple[Callable[[Any], Any], ...]:
    return tuple(
        MEANINGS.get(table.mirror._meta.get_field(name).get_internal_type(), as_it_is) for name in table.columns
    )


def as_it_is(value: Any) -> Any:
    return value


def moment(value: Any) -> datetime:
    read = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def number(value: Any) -> Any:
    read = float(value)
    return "NaN" if math.isnan(read) else read


def exact(value: Any) -> Any:
    """A decimal: SQLite holds it as a number of 15 digits, PostgreSQL exactly."""
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(str(value))


def duration(value: Any) -> int:
    return value // timedelta(microseconds=1) if isinstance(value, timedelta) else int(value)


def parsed(value: Any) -> Any:
    """JSON, as text or as Django wraps it for PostgreSQL. What is nested too deeply to be read is compared as text."""
    if not isinstance(value, str | bytes):
        return value.obj
    try:
        return json.loads(value)
    except RecursionError:
        return value


def binary(value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else bytes(value.obj)


MEANINGS: dict[str, Callable[[Any], Any]] = {
    "BinaryField": binary,
    "BooleanField": bool,
    "DateField": lambda value: value if isinstance(value, date) else date.fromisoformat(value),
    "DateTimeField": moment,
    "DecimalField": exact,
    "DurationField": duration,
    "FloatField": number,
    "GenericIPAddressField": str,
    "JSONField": parsed,
    "TimeField": lambda value: value if isinstance(value, time) else time.fromisoformat(value),
    "UUIDField": lambda value: str(value).replace("-", ""),
}
