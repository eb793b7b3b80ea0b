"""Which carried batches a signed number and hash speak of: those linked to it, batch by batch, by their hashes."""

from __future__ import annotations

from collections.abc import Iterable

from sync_api.models import CarriedBatch


def carried_chain(alias: str, *, device: str, epoch: str, number: int, hash_hex: str) -> list[CarriedBatch]:
    """The carried batches from `number` back to the first gap, without their bytes, latest first.

    A batch that is not linked (another version of its number, or one below a gap) is not among them.
    """
    batches = CarriedBatch.objects.using(alias).filter(device=device, epoch=epoch, number__lte=number)
    return linked_back(batches.defer("content").order_by("-number"), hash_hex)


def linked_back(batches: Iterable[CarriedBatch], hash_hex: str) -> list[CarriedBatch]:
    """Of batches in falling order, the one with that hash and those before it, as far as they are there."""
    found: list[CarriedBatch] = []
    wanted = hash_hex
    for batch in batches:
        if found and batch.number < found[-1].number - 1:
            break
        if batch.hash == wanted:
            found.append(batch)
            wanted = batch.previous_hash
    return found
