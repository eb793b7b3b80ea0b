"""The one place that knows which database needs which SQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Protocol

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from audit.engine.changes import Key
from audit.mirror.tables import MirrorTable

OPEN_COLUMNS = (
    "_pk",
    "_predecessor",
    "_when_added_captured",
    "_utc_offset",
    "_captured_by",
    "_captured_reason",
    "_captured_on",
    "_device",
    "_era",
    "_current",
    "_when_added",
    "_added_by",
    "_app_version",
    "_source",
)
"""Own columns of a version that is current when it is inserted; the others stay empty."""

CLOSED_COLUMNS = (
    *OPEN_COLUMNS,
    "_successor",
    "_when_removed",
    "_when_removed_captured",
    "_removed_captured_by",
    "_removed_captured_reason",
    "_removed_captured_on",
    "_removed_by",
)
"""Own columns of a version that another change of the same commit has ended."""

RETIRED_COLUMNS = (
    "_successor",
    "_when_removed_captured",
    "_removed_captured_by",
    "_removed_captured_reason",
    "_removed_captured_on",
)
"""What a retirement sets row by row, beside `_current`, `_when_removed` and `_removed_by`."""


class Store(Protocol):
    """Reading and writing mirror tables, set by set: one statement per call whatever the number of rows."""

    def last_versions(
        self, table: MirrorTable, device_id: int, era: str, keys: Collection[Key], *, with_values: bool
    ) -> Iterable[Sequence[Any]]:
        """(key, _pk, is current, begun, ended, *values) of the current version and of deleted last ones."""

    def current_versions(
        self, table: MirrorTable, device_id: int, era: str, *, with_values: bool
    ) -> Iterable[Sequence[Any]]:
        """(key, _pk, begun, *values) of every current version of the device in the era."""

    def microseconds(self, moment: Any) -> int:
        """A moment as `last_versions` gave it, in microseconds."""

    def moment(self, microseconds: int) -> Any:
        """A database parameter for a moment."""

    def allot(self, table: MirrorTable, count: int) -> Sequence[int]:
        """Rising `_pk`s for `count` new versions."""

    def retire(self, table: MirrorTable, rows: list[tuple[Any, ...]], *, when: Any, committed_by: str) -> int:
        """End versions: rows of (*RETIRED_COLUMNS, _pk). The number of versions ended."""

    def among_keys(self, table: MirrorTable, keys: Collection[Key]) -> tuple[str, Any]:
        """SQL to stand after the key column, true for these keys, and its one parameter."""

    def insert(self, table: MirrorTable, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
        """Insert rows of (*columns, *table.columns)."""


def store_for(alias: str) -> Store:
    """The store of one database."""
    connection: BaseDatabaseWrapper = connections[alias]
    if connection.vendor == "sqlite":
        from audit.engine.sqlite import SqliteStore

        return SqliteStore(connection)
    from audit.engine.postgresql import PostgresqlStore

    return PostgresqlStore(connection)
