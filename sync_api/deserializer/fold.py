"""What the received transactions of an era come to: each record's last state, as its device held it at the mark."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import connections

from sync_api.deserializer.lines import TABLE
from sync_api.models import IncomingBatch, IncomingTransaction
from sync_api.wire.marks import MARK, Content, Mark, Records, read_mark

FETCH = 2_000
PARTS = 500


@dataclass(slots=True)
class Fold:
    """By model label: the records that are there, the keys of those that are not any more."""

    live: defaultdict[str, Records] = field(default_factory=lambda: defaultdict(Records))
    gone: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    erased: set[str] = field(default_factory=set)
    """Labels of which a record's last state was erased: it still counts, and cannot be compared."""

    def contents(self) -> dict[str, Content]:
        return {label: records.content() for label, records in self.live.items() if records.rows}


def fold_until(alias: str, batch: IncomingBatch, mark: Mark) -> Fold:
    """The fold of the epoch's transactions up to the mark's batch, from the first era that the mark goes back to.

    Ignored units count: they were received, and an operator answers for leaving them out of the mirror. A partial
    mark's fold holds the records it chose. One pass over the transactions; of the records, hashes are kept. ValueError
    for a payload that is no row.
    """
    batches = {
        pk: number
        for pk, number, era in batches_until(alias, batch).values_list("pk", "number", "header__era")
        if (era or 0) >= mark.since
    }
    chosen = {label: set(content.keys or ()) for label, content in mark.models.items()} if mark.is_partial else None
    moved = moved_off(alias, batches, mark)
    fold = Fold()
    names: list[list[str]] = []
    described = None
    for label, key, action, payload, batch_id, model, sequence in last_transactions(alias, list(batches)):
        if chosen is not None and key not in chosen.get(label, ()):
            continue
        if action == "D" or moved.get((label, key), -1) > sequence:
            fold.gone[label].add(key)
            continue
        if described != batch_id:
            names, described = field_names(alias, batch_id), batch_id
        if payload is None:
            fold.erased.add(label)
            fold.live[label].rows[key] = b""
            continue
        fold.live[label].add(key, names[model], payload)
    return fold


def batches_until(alias: str, batch: IncomingBatch) -> Any:
    held = IncomingBatch.objects.using(alias).filter(epoch=batch.epoch_id, number__lte=batch.number)
    return held.filter(state__in=[IncomingBatch.State.HELD, IncomingBatch.State.CONSUMED]).order_by("number")


def last_transactions(alias: str, batches: list[int]) -> Iterator[tuple[Any, ...]]:
    """(label, key, action, payload, batch, model index, sequence) of each record's last transaction."""
    last: dict[tuple[str, str], tuple[int, int]] = {}
    for part in parts(batches):
        lines = IncomingTransaction.objects.using(alias).filter(batch__in=part).exclude(action=MARK)
        rows = lines.order_by("sequence").values_list("tx_name", "tx_pk", "sequence", "id")
        for label, key, sequence, row_id in rows.iterator(chunk_size=FETCH):
            if last.get((label, key), (-1,))[0] < sequence:
                last[label, key] = (sequence, row_id)
    columns = "tx_name, tx_pk, action, payload, batch_id, model_index, sequence"
    for part in parts(sorted(row_id for _, row_id in last.values())):
        with connections[alias].cursor() as cursor:
            numbers = ", ".join(map(str, part))
            cursor.execute(f"SELECT {columns} FROM {TABLE} WHERE id IN ({numbers}) ORDER BY sequence")
            yield from cursor.fetchall()


def parts(numbers: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(numbers), PARTS):
        yield numbers[start : start + PARTS]


def moved_off(alias: str, batches: Collection[int], mark: Mark) -> dict[tuple[str, str], int]:
    """(label, key) of the records that left the device with the partial marks it names; the sequence of each mark."""
    if not mark.moved:
        return {}
    marks = IncomingTransaction.objects.using(alias).filter(action=MARK, tx_pk__in=mark.moved, batch__in=batches)
    return {
        (label, key): sequence
        for payload, sequence in marks.order_by("sequence").values_list("payload", "sequence")
        for label, content in read_mark(payload).models.items()
        for key in content.keys or ()
    }


def field_names(alias: str, batch_id: int) -> list[list[str]]:
    """The field names of each of a batch's models."""
    header = IncomingBatch.objects.using(alias).values_list("header", flat=True).get(pk=batch_id)
    return [[name for name, _, _ in model["fields"]] for model in header["models"]]


def differences(
    here: Mapping[str, Content], there: Mapping[str, Content], uncompared: Collection[str] = ()
) -> list[str]:
    """One phrase per model that differs, with counts and no values. Of those in `uncompared`, counts alone."""
    nothing = Content(0, "")
    phrases = []
    for label in sorted(here.keys() | there.keys()):
        own, told = here.get(label, nothing), there.get(label, nothing)
        if own.count != told.count:
            phrases.append(f"{label} ({told.count} on the device, {own.count} received)")
        elif own.count and own.sha256 != told.sha256 and label not in uncompared:
            phrases.append(f"{label} ({told.count}, with other values)")
    return phrases
