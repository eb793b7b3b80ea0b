"""Writes a batch's transactions: one statement, whatever their number."""

from __future__ import annotations

from typing import Any

from django.db import connections

from sync_api.models import IncomingBatch
from sync_api.wire.header import Header
from sync_api.wire.lines import BASELINE, Line, effective_times

TABLE = "sync_api_incomingtransaction"
COLUMNS = (
    'batch_id, sequence, unit, model_index, tx_name, action, tx_pk, previous_pk, payload, is_baseline, "user",'
    " reason, producer, captured_at, effective_at, utc_offset, is_consumed, is_ignored, is_error"
)


def rows_of(batch: IncomingBatch, header: Header, lines: list[Line]) -> list[tuple[Any, ...]]:
    """The rows in the order of COLUMNS."""
    times, _ = effective_times(lines, header.effective)
    labels = [model["label"] for model in header.models]
    producers = header.producers
    batch_id = batch.pk
    rows = []
    for sequence, (line, effective_at) in enumerate(zip(lines, times, strict=True), header.first):
        unit, model, action, captured_at, offset, user, reason, previous, payload, key, producer = line
        is_baseline = action == BASELINE
        rows.append(
            (batch_id, sequence, unit, model, labels[model], "I" if is_baseline else action, key, previous,
             payload, is_baseline, user, reason, producers[producer], captured_at, effective_at, offset,
             False, False, False)
        )  # fmt: skip
    return rows


def insert_rows(alias: str, rows: list[tuple[Any, ...]]) -> None:
    """Insert the rows in order. Call inside a transaction."""
    connection: Any = connections[alias]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with connection.wrap_database_errors, cursor.copy(f"COPY {TABLE} ({COLUMNS}) FROM STDIN") as copy:
                write_row = copy.write_row
                for row in rows:
                    write_row(row)
        else:
            places = ", ".join(["%s"] * len(rows[0]))
            cursor.executemany(f"INSERT INTO {TABLE} ({COLUMNS}) VALUES ({places})", rows)
