"""Stores a batch: its bytes as they came, and its lines."""

from __future__ import annotations

from audit.fields import from_microseconds
from sync_api.files.hearing import keep_told
from sync_api.inbox.delivery import Delivery
from sync_api.inbox.rows import insert_lines
from sync_api.models import IncomingBatch, IncomingEpoch
from sync_api.wire.format import Envelope
from sync_api.wire.header import Header


def new_batch(alias: str, delivery: Delivery, epoch: IncomingEpoch, state: str) -> IncomingBatch:
    """Store the envelope's bytes as they came."""
    header = delivery.header
    return IncomingBatch.objects.using(alias).create(
        epoch=epoch,
        number=header.number,
        hash=delivery.hash,
        previous_hash=header.previous,
        state=state,
        header=delivery.envelope.header,
        content=delivery.content,
        size=len(delivery.content),
        lines=header.count,
        first_sequence=header.first,
        received_from=delivery.handed_over_by,
    )


def hold(alias: str, epoch: IncomingEpoch, batch: IncomingBatch, header: Header, envelope: Envelope) -> None:
    """Store the lines, remember what is told of files, and move the epoch's head to this batch."""
    effective = insert_lines(alias, batch.pk, header, envelope.lines, header.effective)
    keep_told(alias, header, envelope.lines)
    epoch.head_number, epoch.head_hash = batch.number, batch.hash
    epoch.sequence = header.first + header.count - 1
    epoch.effective_at = from_microseconds(effective)
    epoch.save(using=alias, update_fields=["head_number", "head_hash", "sequence", "effective_at"])
