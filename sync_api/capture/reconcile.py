"""Finds what the triggers did not see (writes while they were out) and records it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import connections, transaction
from django.db.models import Max

from sync_api.capture import triggers_postgresql, triggers_sqlite
from sync_api.capture.connection import unit_of
from sync_api.capture.context import CONTEXT
from sync_api.capture.definitions import Captured
from sync_api.capture.install import captured_tables, local_device
from sync_api.capture.state import local_offset
from sync_api.clock import now_in_microseconds
from sync_api.conf import alias_settings, host_name
from sync_api.models import CaptureSchema, Finalization, LocalDevice, OutgoingTransaction

FETCH = 2_000


@dataclass(slots=True)
class Missed:
    """What one table's comparison found: (action, key text, payload text) in order of the table."""

    label: str
    changes: list[tuple[str, str, str | None]] = field(default_factory=list)


def reconcile_capture(alias: str, *, reason: str, dry_run: bool = False) -> dict[str, dict[str, int]]:
    """Compare the fold of the captured log with the tables and record what is missing, as one unit.

    Returns per model label the numbers of missed inserts, updates and deletes. Opens its own transaction, which
    holds the write lock throughout; running it again finds nothing. Models whose baseline is not done are left
    to it.
    """
    settings = alias_settings(alias)
    found: dict[str, dict[str, int]] = {}
    if not settings.capture:
        return found
    with transaction.atomic(using=alias):
        device = local_device(alias)
        unit = unit_id(alias)
        for captured in captured_tables(alias, create=True):
            label = captured.schema.label
            if not device.baselines.get(label, {}).get("done", False):
                continue
            missed = missed_changes(alias, captured)
            if not missed.changes:
                continue
            found[label] = {
                name: sum(1 for action, _, _ in missed.changes if action == code)
                for name, code in (("inserted", "I"), ("updated", "U"), ("deleted", "D"))
            }
            if not dry_run:
                record(alias, captured, device, missed, unit=unit, reason=reason)
    return found


def lock_against_writers(alias: str, captured: Captured) -> None:
    """Wait for open writers of the table and keep new ones out until the transaction ends."""
    connection = connections[alias]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            table = triggers_postgresql.quote(captured.table)
            cursor.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")


def missed_changes(alias: str, captured: Captured) -> Missed:
    """The difference between the last captured state of each record and its row."""
    lock_against_writers(alias, captured)
    known = last_captured(alias, captured)
    missed = Missed(captured.schema.label)
    for key, payload in rows_now(alias, captured):
        before = known.pop(key, None)
        if before is None or before[0] == "D":
            missed.changes.append(("I", key, payload))
        elif not same_content(alias, captured, before, payload):
            missed.changes.append(("U", key, payload))
    for key, (action, last, _) in known.items():
        if action != "D":
            missed.changes.append(("D", key, last))
    return missed


def last_captured(alias: str, captured: Captured) -> dict[str, tuple[str, str | None, int]]:
    """Per key: (action, payload, schema id) of the record's last transaction. What was wiped after a finalization
    counts no more: a row that stayed then was told again."""
    label = captured.schema.label
    wiped_until, moved = wiped(alias, label)
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT tx_pk, action, payload, schema_id, id FROM sync_api_outgoingtransaction WHERE id IN ("
            " SELECT max(id) FROM sync_api_outgoingtransaction WHERE tx_name = %s AND id > %s GROUP BY tx_pk)",
            [label, wiped_until],
        )
        return {
            key: (action, payload, schema)
            for key, action, payload, schema, row_id in cursor.fetchall()
            if row_id > moved.get(key, 0)
        }


def wiped(alias: str, label: str) -> tuple[int, dict[str, int]]:
    """The last mark after which everything was wiped, and by key of this model the mark with which it was moved off."""
    done = Finalization.objects.using(alias).filter(state=Finalization.State.WIPED).order_by("transaction_id")
    until = done.filter(is_partial=False).aggregate(last=Max("transaction_id"))["last"] or 0
    partial = done.filter(is_partial=True, transaction_id__gt=until).values_list("transaction_id", "manifest")
    return until, {key: mark for mark, manifest in partial for key in manifest["models"].get(label, {}).get("keys", [])}


def rows_now(alias: str, captured: Captured) -> Iterator[tuple[str, str]]:
    """(key text, payload text) of every row, by the very expressions that the triggers use."""
    connection = connections[alias]
    sql: Any = triggers_sqlite if connection.vendor == "sqlite" else triggers_postgresql
    with connection.cursor() as cursor:
        sql.pin_formats(cursor)
        cursor.execute(
            f"SELECT {sql.key_text(captured, 'r')}, {sql.payload(captured, 'r')} FROM {sql.quote(captured.table)} AS r"
        )
        while rows := cursor.fetchmany(FETCH):
            yield from rows


def same_content(alias: str, captured: Captured, before: tuple[str, str | None, int], payload: str) -> bool:
    """Whether the row is as captured. Under another schema the values are compared by name."""
    _, captured_payload, schema_id = before
    if captured_payload == payload:
        return True
    if schema_id == captured.schema_id or captured_payload is None:
        return False
    old = CaptureSchema.objects.using(alias).get(pk=schema_id)
    was = dict(zip([f[0] for f in old.description["fields"]], orjson.loads(captured_payload), strict=True))
    now = dict(zip([f[0] for f in captured.schema.fields], orjson.loads(payload), strict=True))
    return all(was.get(name) == now.get(name) for name in was.keys() | now.keys())


def record(
    alias: str,
    captured: Captured,
    device: LocalDevice,
    missed: Missed,
    *,
    unit: int,
    reason: str,
    is_baseline: bool = False,
) -> None:
    """Write the missed changes as transactions of one unit. Call inside a transaction."""
    moment, offset = now_in_microseconds(alias), local_offset()
    user = CONTEXT.get().user_name() or "command reconcile_capture"
    producer = f"{device.name}/{host_name()}/{alias}"
    rows = [
        (unit, missed.label, action, key, payload, captured.schema_id, is_baseline, user, reason, producer,
         device.name, moment, offset, False, False)
        for action, key, payload in missed.changes
    ]  # fmt: skip
    table = OutgoingTransaction._meta.db_table
    with connections[alias].cursor() as cursor:
        cursor.executemany(
            f'INSERT INTO {table} (unit, tx_name, action, tx_pk, payload, schema_id, is_baseline, "user", reason,'
            " producer, device, captured_at, utc_offset, is_consumed_middleman, is_consumed_server)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )


def unit_id(alias: str) -> int:
    """The unit of the running transaction, told apart from every other."""
    connection = connections[alias]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()::text::bigint")
            return int(cursor.fetchone()[0])
    return unit_of(connection)
