"""The floor under the way: the same bytes to a null server, the same rows into like tables.

The tables have the final columns and indexes. Nothing is decoded, checked, compared or chained: executemany
on SQLite, COPY on PostgreSQL, one transaction per batch and table, as the way has.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from itertools import islice
from typing import Any

import httpx
from psycopg import sql

from sync_api.models import IncomingTransaction
from tests.benchmarks import databases
from tests.benchmarks.bench.models import SyncedRecord

Rows = list[tuple[Any, ...]]


def tables() -> list[str]:
    return [IncomingTransaction._meta.db_table, SyncedRecord.mirror.model._meta.db_table]


def post(url: str, envelopes: Sequence[bytes]) -> float:
    """Seconds for the bytes alone, one request per envelope."""
    with httpx.Client(timeout=60) as client:
        began = time.perf_counter()
        for content in envelopes:
            client.post(url, content=content).raise_for_status()
        return time.perf_counter() - began


def insert(server: str, batch_rows: int) -> float:
    """Seconds to insert what the server's inbox and mirror hold into empty copies of those tables."""
    work = insert_sqlite if databases.vendor(server) == "sqlite" else insert_postgres
    return sum(work(server, table, batch_rows) for table in tables())


def insert_sqlite(server: str, table: str, batch_rows: int) -> float:
    connection = sqlite3.connect(databases.path(server), isolation_level=None)
    try:
        rows = connection.execute(f'SELECT * FROM "{table}"').fetchall()
        statements = connection.execute(
            "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type IN ('table', 'index')"
            " AND sql IS NOT NULL ORDER BY type DESC",
            [table],
        ).fetchall()
        connection.execute("PRAGMA synchronous=FULL")
        for number, (statement,) in enumerate(statements):
            connection.execute(renamed(statement, table, number))
        insert = f'INSERT INTO "floor_{table}" VALUES ({", ".join("?" * len(rows[0]))})'
        began = time.perf_counter()
        for part in parts(rows, batch_rows):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(insert, part)
            connection.execute("COMMIT")
        seconds = time.perf_counter() - began
        connection.execute(f'DROP TABLE "floor_{table}"')
        return seconds
    finally:
        connection.close()


def renamed(statement: str, table: str, number: int) -> str:
    """The CREATE statement of `table` or of an index on it, for the copy."""
    copy = statement.replace(f'"{table}"', f'"floor_{table}"')
    if " INDEX " in copy.split("(")[0]:
        before, _, rest = copy.partition(" INDEX ")
        copy = f'{before} INDEX "floor_{table}_{number}" {rest[rest.index("ON ") :]}'
    return copy


def insert_postgres(server: str, table: str, batch_rows: int) -> float:
    source, copy = sql.Identifier(table), sql.Identifier(f"floor_{table}")
    with databases.raw_postgres(server) as connection:
        rows = connection.execute(sql.SQL("SELECT * FROM {}").format(source)).fetchall()
        connection.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(copy, source))
        connection.commit()
        began = time.perf_counter()
        for part in parts(rows, batch_rows):
            with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(copy)) as stream:
                for row in part:
                    stream.write_row(row)
            connection.commit()
        seconds = time.perf_counter() - began
        connection.execute(sql.SQL("DROP TABLE {}").format(copy))
        connection.commit()
        return seconds


def parts(rows: Rows, size: int) -> list[Rows]:
    iterator = iter(rows)
    return list(iter(lambda: list(islice(iterator, size)), []))
