"""The next batch, read and decoded in a thread while PostgreSQL writes the present one.

Python waits for the database for more than half of a batch. Reading and decoding the next one takes about that long and
needs nothing of what is being written, so it costs no time of its own.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from django.db import connections

from sync_api.deserializer.decode import Decoded, decode_lines
from sync_api.deserializer.ending import without_marks
from sync_api.deserializer.lines import Line, pending_lines
from sync_api.erasing.orders import orders_about
from sync_api.models import IncomingBatch


class Ready(NamedTuple):
    """A batch's pending lines; `decoded` holds those of them that change records."""

    identity: tuple[Any, ...]
    lines: list[Line]
    decoded: Decoded


class Ahead:
    """Reads ahead for one run of the consumer. Close it: the thread has a connection of its own.

    What was read outside the device's claim counts only if, inside it, the batch's row is the same: whoever changes a
    batch's lines before they are consumed changes the row too. On SQLite, where one process does all the work, nothing
    is read ahead.
    """

    def __init__(self, alias: str) -> None:
        connection = connections[alias]
        self.alias = alias
        self.is_used = connection.vendor == "postgresql" and not connection.in_atomic_block
        self.thread: ThreadPoolExecutor | None = None
        self.coming: Future[Ready | None] | None = None

    def look(self, batch: IncomingBatch) -> None:
        """Begin to read the batch after this one, if it has come."""
        if not self.is_used or batch.number >= batch.epoch.head_number:
            return
        if self.thread is None:
            self.thread = ThreadPoolExecutor(max_workers=1)
        self.coming = self.thread.submit(read, self.alias, batch.epoch_id, batch.number + 1)

    def take(self, batch: IncomingBatch) -> Ready | None:
        """What was read of this batch; None when it has to be read now. Call inside the device's claim."""
        coming, self.coming = self.coming, None
        try:
            ready = None if coming is None else coming.result()
        except Exception:  # the claim's own reading meets it again, and says so
            return None
        if ready is None or ready.identity != identity(batch) or is_erased(self.alias, batch):
            return None
        return ready

    def close(self) -> None:
        if self.thread is not None:
            self.thread.submit(close_connection, self.alias)
            self.thread.shutdown()


def read(alias: str, epoch_id: int, number: int) -> Ready | None:
    """Read and decode one held batch, unless keys that may have come since would open lines of it."""
    batches = IncomingBatch.objects.using(alias).filter(epoch=epoch_id, number=number, state=IncomingBatch.State.HELD)
    batch = batches.defer("content").first()
    if batch is None or "sealed" in batch.header:
        return None
    lines = pending_lines(alias, batch.pk)
    changing, _ = without_marks(lines)
    return Ready(identity(batch), lines, decode_lines(alias, batch.header, changing))


def identity(batch: IncomingBatch) -> tuple[Any, ...]:
    return batch.pk, batch.hash, batch.size, batch.state, batch.header


def is_erased(alias: str, batch: IncomingBatch) -> bool:
    """Whether lines of it were erased, maybe since they were read."""
    epoch = batch.epoch
    return orders_about(alias, device=epoch.device.name, epoch=epoch.epoch, number=batch.number).exists()


def close_connection(alias: str) -> None:
    """That of the thread in which it is called."""
    connections[alias].close()
