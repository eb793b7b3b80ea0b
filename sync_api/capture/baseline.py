"""Records the rows that were there before capture began, as marked inserts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connections, transaction

from sync_api.capture import triggers_postgresql, triggers_sqlite
from sync_api.capture.definitions import Captured
from sync_api.capture.install import captured_tables, local_device
from sync_api.capture.reconcile import Missed, record, unit_id
from sync_api.conf import alias_settings

CHUNK = 2_000
REASON = "baseline"


def baseline(alias: str, *, progress: Callable[[str, int], None] | None = None) -> dict[str, int]:
    """Write every row of the models whose baseline is due. Returns the rows written per model label.

    One transaction per chunk of 2,000 rows, in key order, with the place kept beside it: interrupted anywhere, it
    goes on where it stopped. A row changed meanwhile by the program is captured by its trigger as well.
    """
    written: dict[str, int] = {}
    if not alias_settings(alias).capture:
        return written
    with transaction.atomic(using=alias):
        tables = captured_tables(alias, create=True)
        due = local_device(alias).baselines
    for captured in tables:
        label = captured.schema.label
        if due.get(label, {}).get("done", True):
            continue
        while rows := write_chunk(alias, captured):
            written[label] = written.get(label, 0) + rows
            if progress is not None:
                progress(label, rows)
    return written


def write_chunk(alias: str, captured: Captured) -> int:
    """The next rows after the kept place, and the new place, in one transaction. 0 when the table is done."""
    with transaction.atomic(using=alias):
        device = local_device(alias)
        label = captured.schema.label
        state = device.baselines[label]
        rows = next_rows(alias, captured, state["after"])
        if rows:
            missed = Missed(label, [("I", key, payload) for key, payload in rows])
            record(alias, captured, device, missed, unit=unit_id(alias), reason=REASON, is_baseline=True)
            state["after"] = rows[-1][0]
        else:
            state["done"] = True
        device.save(using=alias, update_fields=["baselines"])
        return len(rows)


def next_rows(alias: str, captured: Captured, after: str | None) -> list[tuple[str, str]]:
    """Up to CHUNK (key text, payload text) in order of the key's text."""
    connection = connections[alias]
    sql: Any = triggers_sqlite if connection.vendor == "sqlite" else triggers_postgresql
    key = sql.key_text(captured, "r")
    collate = "" if connection.vendor == "sqlite" else ' COLLATE "C"'
    source = f"SELECT {key}, {sql.payload(captured, 'r')} FROM {sql.quote(captured.table)} AS r"
    order = f" ORDER BY {key}{collate} LIMIT {CHUNK}"
    with connection.cursor() as cursor:
        sql.pin_formats(cursor)
        if after is None:
            cursor.execute(source + order)
        else:
            where = f" WHERE {key}{collate} > "
            cursor.execute(f"{source}{where}{order}".replace("%", "%%").replace(where, where + "%s"), [after])
        return list(cursor.fetchall())
