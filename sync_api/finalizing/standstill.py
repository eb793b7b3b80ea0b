"""Keeping writers out of the synced tables while they are marked or wiped, without failing anybody's save."""

from __future__ import annotations

import time

from django.db import OperationalError, connections, transaction

from sync_api.capture.definitions import Captured
from sync_api.capture.triggers_postgresql import quote
from sync_api.conf import limit
from sync_api.exceptions import TablesBusy

LOCK_MILLISECONDS = 200
"""PostgreSQL looks for deadlocks after a second of waiting: this gives way before, so that no writer is the victim."""
PAUSE_SECONDS = 0.05
LOCK_NOT_AVAILABLE = "55P03"


def keep_writers_out(alias: str, tables: list[Captured]) -> None:
    """Wait for open writers of all these tables and keep new ones out until the transaction ends.

    Call inside a transaction (`immediate`), which is enough on SQLite. On PostgreSQL all tables are locked or none,
    again and again for SYNC_FINALIZE_LOCK_SECONDS. TablesBusy.
    """
    if connections[alias].vendor != "postgresql" or not tables:
        return
    names = ", ".join(quote(captured.table) for captured in tables)
    deadline = time.monotonic() + float(limit("SYNC_FINALIZE_LOCK_SECONDS"))
    while not locked(alias, names):
        if time.monotonic() >= deadline:
            raise TablesBusy(alias=alias)
        time.sleep(PAUSE_SECONDS)


def locked(alias: str, names: str) -> bool:
    try:
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")
            cursor.execute(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")
            cursor.execute("SET LOCAL lock_timeout = DEFAULT")
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        return False
    return True
