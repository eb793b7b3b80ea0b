"""Records the rows that were there before capture began, as marked inserts.

Gotchas, each with a test:
1. The program goes on writing while the baseline is due. A row that it has inserted since is in the log and is left
   out. A row that it has changed since stands in the log as an update without an insert: that first update becomes
   the marked insert. A row that it has deleted since was never recorded: its delete is taken out of the log.
   All this is possible because nothing of the log is sent before the baseline is done. What earlier epochs sealed
   does not count: a new epoch tells everything again. There a delete stays, as the server has the record. Nor does
   what was captured under another device name (a clone that got one of its own): it is never sent under this one.
2. On PostgreSQL a writer's record may become visible later than ours with a lower id: each step locks the table
   against writers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connections, transaction

from sync_api.capture import triggers_postgresql, triggers_sqlite
from sync_api.capture.definitions import Captured
from sync_api.capture.install import captured_tables, local_device
from sync_api.capture.reconcile import Missed, lock_against_writers, record, unit_id
from sync_api.conf import alias_settings
from sync_api.models import LocalDevice
from sync_api.models.outgoing import BASELINE_REASON

CHUNK = 2_000
OUTGOING = "sync_api_outgoingtransaction"


def baseline(alias: str, *, progress: Callable[[str, int], None] | None = None) -> dict[str, int]:
    """Write every row of the models whose baseline is due. Returns the rows written per model label.

    One transaction per chunk of 2,000 rows, in key order, with the place kept beside it: interrupted anywhere, it
    goes on where it stopped.
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
        logged = Logged(alias, label, alias_settings(alias).device)
        while (rows := write_chunk(alias, captured, logged)) is not None:
            written[label] = written.get(label, 0) + rows
            if progress is not None:
                progress(label, rows)
    return written


class Logged:
    """Keys of one model in a device's unsealed part of the log, by the program's own changes, read on from where it
    stopped."""

    def __init__(self, alias: str, label: str, device: str) -> None:
        self.alias, self.label, self.device = alias, label, device
        self.keys: set[str] = set()
        self.until = 0

    def read(self) -> set[str]:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(
                f"SELECT id, tx_pk FROM {OUTGOING} WHERE id > %s AND tx_name = %s AND NOT is_baseline"
                " AND batch_number IS NULL AND device = %s ORDER BY id",
                [self.until, self.label, self.device],
            )
            for number, key in cursor.fetchall():
                self.until = number
                self.keys.add(key)
        return self.keys


def write_chunk(alias: str, captured: Captured, logged: Logged) -> int | None:
    """The next rows after the kept place, and the new place, in one transaction. None when the table is done."""
    with transaction.atomic(using=alias):
        lock_against_writers(alias, captured)
        device = LocalDevice.objects.using(alias).select_for_update().get(pk=local_device(alias).pk)
        label = captured.schema.label
        state = device.baselines[label]
        rows = next_rows(alias, captured, state["after"])
        known = logged.read()
        unknown: list[tuple[str, str, str | None]] = [("I", key, payload) for key, payload in rows if key not in known]
        if rows:
            record(
                alias,
                captured,
                device,
                Missed(label, unknown),
                unit=unit_id(alias),
                reason=BASELINE_REASON,
                is_baseline=True,
            )
            state["after"] = rows[-1][0]
        else:
            begin_records_with_an_insert(alias, label, device.name, is_first_epoch=device.began.get("kind") == "fresh")
            state["done"] = True
        device.save(using=alias, update_fields=["baselines"])
        return len(unknown) if rows else None


def begin_records_with_an_insert(alias: str, label: str, device: str, *, is_first_epoch: bool) -> None:
    """Gotcha 1: the first unsealed transaction of each record becomes an insert, or goes when it is a delete of a
    record that was never told."""
    unsealed = f"FROM {OUTGOING} WHERE tx_name = %s AND batch_number IS NULL AND device = %s"
    first = f"id IN (SELECT min(id) {unsealed} GROUP BY tx_pk)"
    with connections[alias].cursor() as cursor:
        if is_first_epoch:
            cursor.execute(f"DELETE FROM {OUTGOING} WHERE action = 'D' AND {first}", [label, device])
        cursor.execute(
            f"UPDATE {OUTGOING} SET action = 'I', is_baseline = %s WHERE action = 'U' AND {first}",
            [True, label, device],
        )


def next_rows(alias: str, captured: Captured, after: str | None) -> list[tuple[str, str]]:
    """Up to CHUNK (key text, payload text) in order of the key's text."""
    connection = connections[alias]
    sql: Any = triggers_sqlite if connection.vendor == "sqlite" else triggers_postgresql
    key = sql.key_text(captured, "r") + ("" if connection.vendor == "sqlite" else ' COLLATE "C"')
    query = f"SELECT {key}, {sql.payload(captured, 'r')} FROM {sql.quote(captured.table)} AS r"
    query = query.replace("%", "%%") + ("" if after is None else f" WHERE {key} > %s")
    with connection.cursor() as cursor:
        sql.pin_formats(cursor)
        cursor.execute(f"{query} ORDER BY {key} LIMIT %s", [CHUNK] if after is None else [after, CHUNK])
        return [(row[0], row[1]) for row in cursor.fetchall()]
