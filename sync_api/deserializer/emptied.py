"""Lines that were erased before this server consumed them: the mirror gets the fact of each version alone."""

from __future__ import annotations

from collections.abc import Sequence

from sync_api.deserializer.lines import Line
from sync_api.erasing.orders import empty_mirrored, orders_about
from sync_api.models import IncomingBatch
from sync_api.wire.erasing import ErasedLine


def mark_erased(alias: str, batch: IncomingBatch, lines: Sequence[Line]) -> None:
    """Note on the versions that these lines made who erased them and why, as the orders say.

    Call inside the transaction that applied the lines. Asks the database only where a line has no payload.
    """
    if not any(line.payload is None for line in lines):
        return
    orders = orders_about(alias, device=batch.epoch.device.name, epoch=batch.epoch.epoch, number=batch.number)
    for facts in orders.values_list("facts", flat=True):
        if facts["hash"] == batch.hash:
            empty_mirrored(alias, batch, facts, [ErasedLine(*line) for line in facts["lines"]])
