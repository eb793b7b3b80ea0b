"""Mirror tables on SQLite. The caller's transaction holds the write lock (`audit.transactions.immediate`)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from audit.engine.changes import Key
from audit.engine.stores import RETIRED_COLUMNS
from audit.fields import to_microseconds
from audit.mirror.tables import MirrorTable
from audit.sql import quoted

DAYS_KEPT_MAX = 4_096
MOMENTS_KEPT_MAX = 64
"""The changes of a unit share their moment and stand together, so few need to be kept."""


@lru_cache(DAYS_KEPT_MAX)
def day_text(days: int) -> str:
    return str(date.fromordinal(date(1970, 1, 1).toordinal() + days))


@lru_cache(MOMENTS_KEPT_MAX)
def moment_text(microseconds: int) -> str:
    """A moment in UTC as Django writes it on SQLite, where moments compare as text."""
    seconds, rest = divmod(microseconds, 1_000_000)
    days, seconds = divmod(seconds, 86_400)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{day_text(days)} {hours:02}:{minutes:02}:{seconds:02}"
    return f"{text}.{rest:06}" if rest else text


@lru_cache(MOMENTS_KEPT_MAX)
def moment_read(text: str) -> int:
    return to_microseconds(datetime.fromisoformat(text).replace(tzinfo=UTC))


class SqliteStore:
    """One `executemany` per kind of write; keys go in as one JSON array."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def last_versions(
        self, table: MirrorTable, device_id: int, era: str, keys: Collection[Key], *, with_values: bool
    ) -> Iterable[Sequence[Any]]:
        with self.connection.cursor() as cursor:
            cursor.execute(last_versions_sql(table, with_values), [json.dumps(list(keys)), device_id, era])
            rows: list[Sequence[Any]] = cursor.fetchall()
            return rows

    def current_versions(
        self, table: MirrorTable, device_id: int, era: str, *, with_values: bool
    ) -> Iterable[Sequence[Any]]:
        with self.connection.cursor() as cursor:
            cursor.execute(current_versions_sql(table, with_values), [device_id, era])
            rows: list[Sequence[Any]] = cursor.fetchall()
            return rows

    def microseconds(self, moment: str) -> int:
        return moment_read(moment)

    def moment(self, microseconds: int) -> str:
        return moment_text(microseconds)

    def allot(self, table: MirrorTable, count: int) -> Sequence[int]:
        with self.connection.cursor() as cursor:
            cursor.execute(f'SELECT coalesce(max("_pk"), 0) FROM {quoted(table.name)}')
            (last,) = cursor.fetchone()
        return range(last + 1, last + 1 + count)

    def retire(self, table: MirrorTable, rows: list[tuple[Any, ...]], *, when: Any, committed_by: str) -> int:
        with self.connection.cursor() as cursor:
            cursor.executemany(retire_sql(table), [(when, committed_by, *row) for row in rows])
            return int(cursor.rowcount)

    def among_keys(self, table: MirrorTable, keys: Collection[Key]) -> tuple[str, Any]:
        return "IN (SELECT value FROM json_each(%s))", json.dumps(list(keys))

    def insert(self, table: MirrorTable, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
        with self.connection.cursor() as cursor:
            cursor.executemany(insert_sql(table, columns), rows)  # type: ignore[arg-type]


@cache
def last_versions_sql(table: MirrorTable, with_values: bool) -> str:
    """The unary plus reads what is stored: without it, sqlite3 converts by the column's declared type."""
    key = quoted(table.key_column)
    values = "".join(f", +m.{quoted(column)}" for column in table.db_columns) if with_values else ""
    return (
        f'SELECT +m.{key}, m."_pk", +m."_current",'
        f' +m."_when_added_captured", +m."_when_removed_captured"{values}'
        f" FROM json_each(%s) AS k CROSS JOIN {quoted(table.name)} AS m ON m.{key} = k.value"
        f' WHERE m."_device" = %s AND m."_era" = %s AND (m."_current" OR m."_successor" IS NULL)'
    )


@cache
def current_versions_sql(table: MirrorTable, with_values: bool) -> str:
    """By way of the sorted `_pk`s: the index is in the order of the keys, and rows are read faster in their own."""
    values = "".join(f", +m.{quoted(column)}" for column in table.db_columns) if with_values else ""
    return (
        f'SELECT +m.{quoted(table.key_column)}, m."_pk", +m."_when_added_captured"{values}'
        f' FROM {quoted(table.name)} AS m WHERE m."_pk" IN (SELECT c."_pk" FROM {quoted(table.name)} AS c'
        f' WHERE c."_device" = %s AND c."_era" = %s AND c."_current")'
    )


@cache
def retire_sql(table: MirrorTable) -> str:
    own = ", ".join(f'"{column}" = %s' for column in RETIRED_COLUMNS)
    return (
        f'UPDATE {quoted(table.name)} SET "_current" = 0, "_when_removed" = %s, "_removed_by" = %s, {own}'
        f' WHERE "_pk" = %s AND "_current"'
    )


@cache
def insert_sql(table: MirrorTable, columns: tuple[str, ...]) -> str:
    names = ", ".join(quoted(column) for column in (*columns, *table.db_columns))
    places = ", ".join(["%s"] * (len(columns) + len(table.db_columns)))
    return f"INSERT INTO {quoted(table.name)} ({names}) VALUES ({places})"
