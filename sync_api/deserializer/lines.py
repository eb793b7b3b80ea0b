"""Received transactions, as the consumer reads and marks them: raw rows, set by set."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db import connections

from audit.fields import to_microseconds
from sync_api.models import IncomingTransaction


class Line(NamedTuple):
    """One received transaction. `moment` is its unit's effective time, in microseconds since 1970 UTC."""

    unit: int
    model_index: int
    action: str
    is_baseline: bool
    tx_name: str
    tx_pk: str
    previous_pk: str | None
    payload: str | None
    moment: int
    utc_offset: int | None
    user: str | None
    reason: str | None
    producer: str


COLUMNS = (
    "unit, model_index, action, is_baseline, tx_name, tx_pk, previous_pk, payload, effective_at, utc_offset,"
    ' "user", reason, producer'
)
PENDING = "NOT is_consumed AND NOT is_error AND NOT is_ignored"
TABLE = f'"{IncomingTransaction._meta.db_table}"'


def pending_lines(alias: str, batch_id: int, *, until: int | None = None) -> list[Line]:
    """The batch's lines that are neither consumed nor set aside, in order, up to sequence `until`."""
    limited, parameters = bounded(until)
    return read(alias, f"batch_id = %s AND {PENDING}{limited}", [batch_id, *parameters])


def parked_lines(alias: str, batch_id: int, units: list[int]) -> list[Line]:
    """The lines of a batch's parked units, in order."""
    wanted = set(units)
    lines = read(alias, "batch_id = %s AND is_error AND NOT is_consumed AND NOT is_ignored", [batch_id])
    return [line for line in lines if line.unit in wanted]


def read(alias: str, condition: str, parameters: list[Any]) -> list[Line]:
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT {COLUMNS} FROM {TABLE} WHERE {condition} ORDER BY sequence", parameters)
        return list(map(Line._make, cursor.fetchall()))


def bounded(until: int | None) -> tuple[str, list[int]]:
    return ("", []) if until is None else (" AND sequence <= %s", [until])


def mark_consumed(alias: str, batch_id: int, *, now: Any, until: int | None = None) -> None:
    """Mark the batch's pending lines. Call inside the transaction that applied them."""
    limited, parameters = bounded(until)
    with connections[alias].cursor() as cursor:
        cursor.execute(
            f"UPDATE {TABLE} SET is_consumed = %s, consumed_at = %s WHERE batch_id = %s AND {PENDING}{limited}",
            [True, to_microseconds(now), batch_id, *parameters],
        )


def mark_released(alias: str, batch_id: int, units: list[int], *, now: Any) -> None:
    """Mark the lines of parked units that were applied after all. Call inside the transaction that did."""
    many(
        alias,
        "is_consumed = %s, consumed_at = %s, is_error = %s, error = NULL WHERE batch_id = %s AND unit = %s",
        [(True, to_microseconds(now), False, batch_id, unit) for unit in units],
    )


def mark_parked(alias: str, batch_id: int, texts: dict[int, str]) -> None:
    """Set units aside with the text of their trouble, by unit. Call inside the transaction that parks them."""
    many(
        alias,
        "is_error = %s, error = %s WHERE batch_id = %s AND unit = %s AND NOT is_consumed",
        [(True, text, batch_id, unit) for unit, text in texts.items()],
    )


def mark_ignored(alias: str, batch_id: int, unit: int) -> None:
    """Mark a parked unit's lines as ignored; what was received stays. Call inside a transaction."""
    many(alias, "is_ignored = %s WHERE batch_id = %s AND unit = %s", [(True, batch_id, unit)])


def many(alias: str, assignment: str, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        with connections[alias].cursor() as cursor:
            cursor.executemany(f"UPDATE {TABLE} SET {assignment}", rows)
