"""Erase a finalized record on the server, and give the order that everybody else follows.

Gotchas, each with a test:
1. Only finalized records: what a device still holds, it would deliver again.
2. The record's whole lineage goes, in the mirror and in every batch that told of it; keys, who, when, why, the lines'
   hashes and the justification stay. Other records that name this one (its visits, its specimens) are records of their
   own: erase them too.
3. What left the installations before is out of reach: bundles on sticks, backups, downloads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.apps import apps
from django.db import models
from django.db.models import Q

from audit.erasure import Lineage, empty_versions, finalized_lineage, lineages
from audit.fields import to_microseconds
from audit.mirror.tables import MirrorTable, table_for
from audit.models import Device, Source, TableChanges
from sync_api.conf import alias_settings
from sync_api.deserializer.eras import place_of
from sync_api.erasing.orders import rewrite
from sync_api.exceptions import DeviceNotRegistered, ErasureReasonMissing, ModelUnknown
from sync_api.failpoints import failpoint
from sync_api.models import IncomingBatch, IncomingTransaction
from sync_api.overwriting import deleted_overwritten
from sync_api.transactions import immediate
from sync_api.trust.taking import issue_statement
from sync_api.wire.certificates import canonical
from sync_api.wire.erasing import REASON_LENGTH_MAX, ErasedLine
from sync_api.wire.format import decode
from sync_api.wire.header import read_header
from sync_api.wire.sealed_payloads import SEALED_KEY

ORDER_BYTES_MAX = 16 * 1024
"""Of one order's lines: several fit into an answer beside the receipts."""


@dataclass(slots=True)
class Erasure:
    """What was erased now: versions in the mirror by label, transactions, and batches that were written anew."""

    device: str
    label: str
    keys: list[str]
    versions: int = 0
    transactions: int = 0
    batches: int = 0
    orders: int = 0
    eras: list[str] = field(default_factory=list)


def erase(
    alias: str,
    label: str,
    keys: list[str],
    *,
    device: str,
    reason: str,
    by: str = "",
    era: str | None = None,
) -> Erasure:
    """Erase the finalized records of a device with these keys, for a reason that is kept.

    Opens its own transaction for all of it: interrupted anywhere, everything or nothing is erased. Again, it changes
    nothing. Orders for the batches' other holders travel with the statements. SQLite's freed bytes are overwritten.

    Errors: ModelUnknown, DeviceNotRegistered, ErasureReasonMissing; of audit: NotFinalized, RecordUnknown, EraReused.
    """
    table = find_table(label)
    if not reason.strip():
        raise ErasureReasonMissing(label=table.label)
    by = by or alias_settings(alias).device
    report = Erasure(device, table.label, keys)
    with deleted_overwritten(alias):
        with immediate(alias):
            owner = Device.objects.using(alias).select_for_update(no_key=True).filter(name=device).first()
            if owner is None:
                raise DeviceNotRegistered(device=device, alias=alias)
            chosen = [finalized_lineage(alias, table, owner, key, era=era) for key in keys]
            lines = [line for lineage in chosen for line in received_lines(alias, owner, lineage)]
            pks = sorted(pk for lineage in chosen for pk in lineage.pks)
            changes = empty_versions(alias, owner, {table: pks}, user=by, reason=reason)
            report.versions = sum(change.erased for change in changes)
            report.eras = sorted({era for lineage in chosen for era in lineage.eras})
            erase_received(alias, lines, reason=reason.strip(), by=by, report=report)
            for lineage in chosen:
                erase_forks(alias, owner, lineage, reason=reason.strip(), by=by, report=report)
            failpoint("erase.before_commit")
        failpoint("erase.after_commit")
    return report


def find_table(label: str) -> MirrorTable:
    try:
        model: type[models.Model] = apps.get_model(label)
    except (LookupError, ValueError) as error:
        raise ModelUnknown(label=label) from error
    return table_for(model)


def received_lines(alias: str, device: Device, lineage: Lineage) -> list[IncomingTransaction]:
    """The received transactions that told of this record: those of its key, but for another record's before or after.

    Eras end with a batch, so a batch tells of one of them. What the mirror made of it says which; of what never got
    there (parked, ignored), the era that its device gave it.
    """
    table = lineage.table
    key = str(lineage.key)
    rows = IncomingTransaction.objects.using(alias).filter(
        Q(tx_pk=key) | Q(previous_pk=key), tx_name=table.label, batch__epoch__device=device
    )
    lines = list(rows.order_by("batch", "sequence"))
    others = [one for one in lineages(alias, table, device, lineage.key) if one.pks != lineage.pks]
    if not others:
        return lines
    by_batch: defaultdict[int, list[IncomingTransaction]] = defaultdict(list)
    for line in lines:
        by_batch[line.batch_id].append(line)
    batches = IncomingBatch.objects.using(alias).select_related("epoch").defer("content").in_bulk(by_batch)
    return [
        line for pk, own in by_batch.items() if tells_of(alias, device, batches[pk], lineage, others) for line in own
    ]


def tells_of(alias: str, device: Device, batch: IncomingBatch, lineage: Lineage, others: list[Lineage]) -> bool:
    changes = TableChanges.objects.using(alias).filter(
        source__device=device,
        source__kind=Source.Kind.BATCH,
        source__reference=f"{batch.epoch.epoch}/{batch.number}",
        model=lineage.table.label,
    )
    touched = {pk for keys in changes.values_list("keys", flat=True) for pks in keys.values() for pk in pks}
    if touched & set(lineage.pks):
        return True
    if any(touched & set(other.pks) for other in others):
        return False
    return place_of(alias, batch).era in lineage.eras


def erase_received(alias: str, lines: list[IncomingTransaction], *, reason: str, by: str, report: Erasure) -> None:
    """Empty these transactions, write their batches anew, and give the orders. Lines that are erased already stay."""
    by_batch: defaultdict[int, list[IncomingTransaction]] = defaultdict(list)
    for line in lines:
        if line.payload is not None:
            by_batch[line.batch_id].append(line)
    for pk in sorted(by_batch):
        batch = IncomingBatch.objects.using(alias).select_related("epoch__device").get(pk=pk)
        erased = [erased_line(batch, line) for line in by_batch[pk]]
        rewrite(batch, erased)
        ids = [line.pk for line in by_batch[pk]]
        IncomingTransaction.objects.using(alias).filter(pk__in=ids).update(payload=None)
        report.transactions += len(erased)
        report.batches += 1
        give_orders(alias, batch, erased, reason=reason, by=by, report=report)


def give_orders(
    alias: str, batch: IncomingBatch, erased: list[ErasedLine], *, reason: str, by: str, report: Erasure
) -> None:
    facts: dict[str, Any] = {"epoch": batch.epoch.epoch, "number": batch.number, "hash": batch.hash}
    for portion in portions(erased):
        told = [list(line) for line in portion]
        issue_statement(alias, "erasure", batch.epoch.device.name, via="own", **facts, reason=reason, by=by, lines=told)
        report.orders += 1


def erase_forks(alias: str, device: Device, lineage: Lineage, *, reason: str, by: str, report: Erasure) -> None:
    """The same in batches that were kept beside the chain: they were never unpacked, so their lines are read here.

    A copy that told of another record under the same key is not told apart; it was refused.
    """
    forks = IncomingBatch.objects.using(alias).filter(epoch__device=device, state=IncomingBatch.State.FORK)
    for batch in forks.select_related("epoch__device").iterator(chunk_size=1):
        erased = lines_in_fork(batch, lineage)
        if erased:
            rewrite(batch, erased)
            report.batches += 1
            give_orders(alias, batch, erased, reason=reason, by=by, report=report)


def lines_in_fork(batch: IncomingBatch, lineage: Lineage) -> list[ErasedLine]:
    envelope = decode(bytes(batch.content))
    header = read_header(envelope.header, lines=len(envelope.lines))
    erased: list[ErasedLine] = []
    for place, raw in enumerate(envelope.lines):
        if not raw.startswith(b"["):
            continue
        unit, model, action, dt, offset, user, captured_reason, previous, payload, *more = orjson.loads(raw)
        description = header.models[model]
        if description["label"] != lineage.table.label or type(payload) is not list:
            continue
        key = str(payload[[field[0] for field in description["fields"]].index(description["pk"])])
        if str(lineage.key) in (key, previous):
            why = None if captured_reason is None else captured_reason[:REASON_LENGTH_MAX]
            facts = (place, unit, model, action, header.time + dt, offset, user, why, previous, key)
            erased.append(ErasedLine(*facts, more[0] if more else 0))
    return erased


def erased_line(batch: IncomingBatch, line: IncomingTransaction) -> ErasedLine:
    """Its facts for the order. Of a line that travels sealed, nothing that the seal hides is told."""
    sealed = any(line.model_index in group["models"] for group in batch.header.get("sealed", ()))
    return ErasedLine(
        place=line.sequence - batch.first_sequence,
        unit=line.unit,
        model=line.model_index,
        action="B" if line.is_baseline else line.action,
        captured_at=to_microseconds(line.captured_at),
        utc_offset=line.utc_offset,
        user=line.user,
        reason=None if sealed or line.reason is None else line.reason[:REASON_LENGTH_MAX],
        previous_key=None if sealed else line.previous_pk,
        key=SEALED_KEY if sealed else line.tx_pk,
        producer=batch.header["producers"].index(line.producer),
    )


def portions(lines: list[ErasedLine]) -> Iterator[list[ErasedLine]]:
    """The lines in orders of a size that travels."""
    portion: list[ErasedLine] = []
    size = 0
    for line in lines:
        own = len(canonical({"line": list(line)}))
        if portion and size + own > ORDER_BYTES_MAX:
            yield portion
            portion, size = [], 0
        portion.append(line)
        size += own
    if portion:
        yield portion
