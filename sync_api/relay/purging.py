"""Removes what need not be carried any more."""

from __future__ import annotations

from dataclasses import dataclass

from sync_api.models import CarriedBatch
from sync_api.relay.receipts import durable_batches
from sync_api.transactions import immediate

REMOVED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class PurgeReport:
    """How many carried batches were removed and how many stay, in batches and bytes."""

    removed: int
    removed_bytes: int
    kept: int


def purge_carried(alias: str, *, dry_run: bool = False) -> PurgeReport:
    """Remove the carried batches that a server's durable receipt covers, and no other. Opens its own transactions."""
    batches = durable_batches(alias)
    size = sum(batch.size for batch in batches)
    carried = CarriedBatch.objects.using(alias)
    kept = carried.count() - len(batches)
    if not dry_run:
        keys = [batch.pk for batch in batches]
        for start in range(0, len(keys), REMOVED_AT_ONCE):
            with immediate(alias):
                carried.filter(pk__in=keys[start : start + REMOVED_AT_ONCE]).delete()
    return PurgeReport(len(batches), size, kept)
