"""Mirror tables on PostgreSQL: COPY in, arrays for everything else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from audit.copying import blocks
from audit.engine.changes import Key
from audit.engine.sqlite import moment_text
from audit.engine.stores import RETIRED_COLUMNS
from audit.mirror.tables import MirrorTable
from audit.sql import quoted

PLAIN_KEYS = frozenset({"smallint", "integer", "bigint", "uuid"})
"""Types whose keys hold no comma: one text of all of them is bound three times as fast as an array."""
ADDED, REMOVED = (
    f'(extract(epoch from m."{column}") * 1000000)::bigint'
    for column in ("_when_added_captured", "_when_removed_captured")
)
"""Captured moments in microseconds: exact, and read ten times as fast as a timestamp that Python takes apart."""
RETIRED_TYPES = ("bigint", "timestamptz", "text", "text", "text", "bigint")


class PostgresqlStore:
    """One statement per kind of write."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def last_versions(
        self, table: MirrorTable, device_id: int, era: str, keys: Collection[Key], *, with_values: bool
    ) -> Iterable[Sequence[Any]]:
        type_of_key = key_type(table, self.connection)
        given = ",".join(map(str, keys)) if type_of_key in PLAIN_KEYS else list(keys)
        with self.connection.cursor() as cursor:
            cursor.execute(last_versions_sql(table, with_values, type_of_key), [given, device_id, era])
            rows: list[Sequence[Any]] = cursor.fetchall()
            return rows

    def current_versions(
        self, table: MirrorTable, device_id: int, era: str, *, with_values: bool
    ) -> Iterable[Sequence[Any]]:
        with self.connection.cursor() as cursor:
            cursor.execute(current_versions_sql(table, with_values, key_type(table, self.connection)), [device_id, era])
            rows: list[Sequence[Any]] = cursor.fetchall()
            return rows

    def microseconds(self, moment: int) -> int:
        return moment

    def moment(self, microseconds: int) -> str:
        return moment_text(microseconds) + "+00"

    def allot(self, table: MirrorTable, count: int) -> Sequence[int]:
        """The sequence is looked up once, not for each number: OFFSET keeps the planner from merging the two."""
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT array_agg(nextval(s.name)) FROM generate_series(1, %s),"
                " (SELECT pg_get_serial_sequence(%s, '_pk')::regclass AS name OFFSET 0) AS s",
                [count, quoted(table.name)],
            )
            (allotted,) = cursor.fetchone()
        return sorted(allotted)

    def retire(self, table: MirrorTable, rows: list[tuple[Any, ...]], *, when: Any, committed_by: str) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute(retire_sql(table), [when, committed_by, *map(list, zip(*rows, strict=True))])
            return int(cursor.rowcount)

    def among_keys(self, table: MirrorTable, keys: Collection[Key]) -> tuple[str, Any]:
        return f"= ANY(%s::{key_type(table, self.connection)}[])", list(map(str, keys))

    def insert(self, table: MirrorTable, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
        """COPY is not among the calls whose errors Django translates by itself."""
        wrap_errors: Any = self.connection.wrap_database_errors
        with self.connection.cursor() as cursor, wrap_errors, cursor.copy(copy_sql(table, columns)) as copy:
            for block, part in blocks(rows):
                if block is not None:
                    copy.write(block)
                    continue
                for row in part:
                    copy.write_row(row)


def key_type(table: MirrorTable, connection: BaseDatabaseWrapper) -> str:
    """The type keys are compared in. Not varchar(n): a cast to it would cut a longer key."""
    field = table.mirror._meta.get_field(table.key)
    assert isinstance(field, models.Field)
    return "text" if isinstance(field, models.CharField | models.TextField) else str(field.db_type(connection))


@cache
def last_versions_sql(table: MirrorTable, with_values: bool, type_of_key: str) -> str:
    key, shown = f"m.{quoted(table.key_column)}", shown_key(table, type_of_key)
    given = "string_to_array(%s, ',')" if type_of_key in PLAIN_KEYS else "%s"
    keys = f"(SELECT {given}::{type_of_key}[])"  # a value to the planner: it would weigh each of thousands of constants
    values = shown_values(table) if with_values else ""
    return (
        f'SELECT {shown}, m."_pk", m."_current", {ADDED}, {REMOVED}{values}'
        f" FROM {quoted(table.name)} AS m WHERE {key} = ANY({keys}::{type_of_key}[])"
        f' AND m."_device" = %s AND m."_era" = %s AND (m."_current" OR m."_successor" IS NULL)'
    )


@cache
def current_versions_sql(table: MirrorTable, with_values: bool, type_of_key: str) -> str:
    values = shown_values(table) if with_values else ""
    return (
        f'SELECT {shown_key(table, type_of_key)}, m."_pk", {ADDED}{values}'
        f' FROM {quoted(table.name)} AS m WHERE m."_device" = %s AND m."_era" = %s AND m."_current"'
    )


def shown_values(table: MirrorTable) -> str:
    """SQL of a version's values, to be compared with those that came: a UUID or a date in the form in which it comes,
    so that columns that are the same are found to be so at once."""
    return "".join(f", {shown_value(table, *column)}" for column in zip(table.columns, table.db_columns, strict=True))


def shown_value(table: MirrorTable, name: str, column: str) -> str:
    kind = table.mirror._meta.get_field(name).get_internal_type()
    value = f"m.{quoted(column)}"
    if kind == "UUIDField":
        return f"replace({value}::text, '-', '')"
    return f"{value}::text" if kind == "DateField" else value


def shown_key(table: MirrorTable, type_of_key: str) -> str:
    """SQL of a version's key in the engine's form."""
    key = f"m.{quoted(table.key_column)}"
    if type_of_key == "uuid":
        return f"replace({key}::text, '-', '')"
    return key if type_of_key in PLAIN_KEYS else f"{key}::text"


@cache
def retire_sql(table: MirrorTable) -> str:
    own = ", ".join(f'"{column}" = r."{column}"' for column in RETIRED_COLUMNS)
    arrays = ", ".join(f"%s::{kind}[]" for kind in RETIRED_TYPES)
    names = ", ".join(f'"{column}"' for column in (*RETIRED_COLUMNS, "_pk"))
    return (
        f'UPDATE {quoted(table.name)} AS m SET "_current" = false,'
        f' "_when_removed" = %s, "_removed_by" = %s, {own}'
        f' FROM unnest({arrays}) AS r({names}) WHERE m."_pk" = r."_pk" AND m."_current"'
    )


@cache
def copy_sql(table: MirrorTable, columns: tuple[str, ...]) -> str:
    names = ", ".join(quoted(column) for column in (*columns, *table.db_columns))
    return f"COPY {quoted(table.name)} ({names}) FROM STDIN"
