"""Transactions that write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, transaction


@contextmanager
def immediate(alias: str) -> Iterator[None]:
    """`atomic(using=alias)` that takes SQLite's write lock at its begin.

    A transaction that reads first and writes later can be refused on SQLite ("database is locked")
    whatever the timeout; this one waits its turn instead. Inside an open transaction it is a savepoint of it,
    and its locks are kept until that one ends.
    """
    connection = connections[alias]
    if connection.in_atomic_block or connection.vendor != "sqlite":
        with transaction.atomic(using=alias):
            yield
        return
    connection.ensure_connection()
    mode = connection.transaction_mode  # type: ignore[attr-defined]
    connection.transaction_mode = "IMMEDIATE"  # type: ignore[attr-defined]
    try:
        block = transaction.atomic(using=alias)
        block.__enter__()
    finally:
        connection.transaction_mode = mode  # type: ignore[attr-defined]
    try:
        yield
    except BaseException as error:
        block.__exit__(type(error), error, error.__traceback__)
        raise
    block.__exit__(None, None, None)
