"""A past state of one table as lines of CSV or JSON, streamed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from uuid import UUID

from django.utils.duration import duration_iso_string

from audit.mirror.queryset import MirrorQuerySet
from audit.mirror.tables import table_for

Format: TypeAlias = Literal["csv", "jsonl"]
ROWS_READ_AT_ONCE_MAX = 2_000
NO_OWN_COLUMNS: Mapping[str, str] = {}
FORMULA_BEGINS = frozenset("=+-@\t\r")


def snapshot_lines(
    state: MirrorQuerySet,
    format: Format,  # noqa: A002 - the option's name
    *,
    own: Mapping[str, str] = NO_OWN_COLUMNS,
    for_spreadsheets: bool = False,
) -> Iterator[str]:
    """The rows of `state` (`Visit.mirror.using(...).as_of(...)`) in key order, each line with its newline.

    Rows carry the model's own field names, and before them those of `own`: the mirror's columns, by name. CSV tells an
    empty text ("") from no value (nothing between the commas). `for_spreadsheets`: a text that a spreadsheet would
    calculate has an apostrophe before it, and is not loss-free. Memory does not grow with the number of rows.
    """
    table = table_for(state.model.mirror_of)
    names = (*own, *table.columns)
    rows = state.order_by(table.key, "mirror_device", "mirror_pk").values_list(*own.values(), *table.columns)
    as_csv = csv_value_for_spreadsheets if for_spreadsheets else csv_value
    if format == "csv":
        yield ",".join(map(quoted, names)) + "\r\n"
    for row in rows.iterator(chunk_size=ROWS_READ_AT_ONCE_MAX):
        if format == "csv":
            yield ",".join(map(as_csv, row)) + "\r\n"
        else:
            values = dict(zip(names, map(json_value, row), strict=True))
            yield json.dumps(values, ensure_ascii=False) + "\n"


def csv_value_for_spreadsheets(value: Any) -> str:
    """A text that begins as a formula does would be calculated when the file is opened, with whatever it asks for."""
    if isinstance(value, str) and value[:1] in FORMULA_BEGINS:
        return quoted("'" + value)
    return csv_value(value)


def csv_value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return quoted(value)
    plain = json_value(value)
    if isinstance(plain, str):
        return quoted(plain)
    return quoted(json.dumps(plain, ensure_ascii=False))


def quoted(text: str) -> str:
    if text and not any(sign in text for sign in ',"\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'


def json_value(value: Any) -> Any:
    """A value as JSON can hold it without loss: moments in ISO 8601, binary in hex, decimals as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, timedelta):
        return duration_iso_string(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value
