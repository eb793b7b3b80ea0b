"""Stores a batch: its bytes as they came, and its lines."""

from __future__ import annotations

from typing import Any

from django.db import connections

from audit.fields import from_microseconds
from sync_api.files.hearing import keep_told
from sync_api.inbox.delivery import Delivery
from sync_api.inbox.rows import insert_lines
from sync_api.models import IncomingBatch, IncomingEpoch
from sync_api.wire.format import Envelope
from sync_api.wire.header import Header


def new_batch(
    alias: str, delivery: Delivery, epoch: IncomingEpoch, state: str, *, is_late: bool = False
) -> IncomingBatch:
    """Store the envelope's bytes as they came."""
    header = delivery.header
    is_postgres = connections[alias].vendor == "postgresql"
    batch = IncomingBatch.objects.using(alias).create(
        epoch=epoch,
        number=header.number,
        hash=delivery.hash,
        previous_hash=header.previous,
        state=state,
        header=delivery.envelope.header,
        content=b"" if is_postgres else delivery.content,
        size=len(delivery.content),
        lines=header.count,
        first_sequence=header.first,
        received_from=delivery.handed_over_by,
        is_late=is_late,
    )
    if is_postgres:
        store_bytes(alias, batch.pk, delivery.content)
        batch.content = delivery.content
    return batch


def store_bytes(alias: str, batch_id: int, content: bytes) -> None:
    """Give the batch its bytes as they are. Django's cursor would write them into the statement as text, of twice their
    length, for PostgreSQL to read again: 9 ms for 5,000 rows instead of 2."""
    from psycopg import Cursor

    connection = connections[alias]
    table = connection.ops.quote_name(IncomingBatch._meta.db_table)
    wrap_errors: Any = connection.wrap_database_errors
    with wrap_errors, Cursor(connection.connection) as cursor:
        cursor.execute(f"UPDATE {table} SET content = %b WHERE id = %s", [content, batch_id])


def hold(alias: str, epoch: IncomingEpoch, batch: IncomingBatch, header: Header, envelope: Envelope) -> None:
    """Store the lines, remember what is told of files, and move the epoch's head to this batch."""
    effective = insert_lines(alias, batch.pk, header, envelope.lines, header.effective, hash_hex=batch.hash)
    keep_told(alias, header, envelope.lines)
    epoch.head_number, epoch.head_hash = batch.number, batch.hash
    epoch.sequence = header.first + header.count - 1
    epoch.effective_at = from_microseconds(effective)
    epoch.save(using=alias, update_fields=["head_number", "head_hash", "sequence", "effective_at"])
