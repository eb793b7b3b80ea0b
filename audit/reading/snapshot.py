"""A past state of one table as lines of CSV or JSON, streamed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from uuid import UUID

from django.utils.duration import duration_iso_string

from audit.mirror.queryset import MirrorQuerySet
from audit.mirror.tables import table_for

Format: TypeAlias = Literal["csv", "jsonl"]
ROWS_READ_AT_ONCE_MAX = 2_000


def snapshot_lines(state: MirrorQuerySet, format: Format) -> Iterator[str]:  # noqa: A002 - the option's name
    """The rows of `state` (`Visit.mirror.using(...).as_of(...)`) in key order, each line with its newline.

    Rows carry the model's own field names. CSV tells an empty text ("") from no value (nothing between the
    commas). Memory does not grow with the number of rows.
    """
    table = table_for(state.model.mirror_of)
    rows = state.order_by(table.key, "mirror_device", "mirror_pk").values_list(*table.columns)
    if format == "csv":
        yield ",".join(map(quoted, table.columns)) + "\r\n"
    for row in rows.iterator(chunk_size=ROWS_READ_AT_ONCE_MAX):
        if format == "csv":
            yield ",".join(map(csv_value, row)) + "\r\n"
        else:
            values = dict(zip(table.columns, map(json_value, row), strict=True))
            yield json.dumps(values, ensure_ascii=False) + "\n"


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
