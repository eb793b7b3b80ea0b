"""What is deleted leaves no trace in SQLite's files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import connections


@contextmanager
def deleted_overwritten(alias: str) -> Iterator[None]:
    """Inside, SQLite overwrites what is deleted; at the end its write-ahead log is emptied into the file.

    Use it outside of any transaction. PostgreSQL keeps old rows until its own VACUUM: see the how-to guide on erasing.
    """
    overwrite_deleted(alias, on=True)
    try:
        yield
    finally:
        overwrite_deleted(alias, on=False)


def overwrite_deleted(alias: str, *, on: bool) -> None:
    """SQLite: overwrite what is deleted, and empty the WAL afterwards, so that the file holds no wiped row."""
    connection = connections[alias]
    if connection.vendor != "sqlite":
        return
    statements: Sequence[str] = ("PRAGMA secure_delete=ON",)
    if not on:
        statements = ("PRAGMA secure_delete=OFF", "PRAGMA wal_checkpoint(TRUNCATE)")
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
