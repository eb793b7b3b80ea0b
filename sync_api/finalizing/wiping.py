"""The wipe: what the server has preserved leaves this device, and nothing else.

Gotchas, each with a test:
1. A row that was changed since the mark stays, and so does what it refers to and what is part of it: foreign keys
   hold, and people keep whole records. A row that stays unchanged is told again, as a marked insert of the new era.
2. The deletes are not captured. `reconcile_capture` knows the wiped finalizations and does not miss the rows.
3. Files stay, sealed batches stay; the log keeps its rows, without their payloads.
"""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import Q
from django.utils import timezone

from sync_api.capture import not_captured
from sync_api.capture.definitions import Captured
from sync_api.capture.install import captured_tables
from sync_api.capture.reconcile import Missed, reconcile_capture, record, rows_now
from sync_api.capture.state import UNIT_BITS
from sync_api.capture.verify import require_whole_capture
from sync_api.exceptions import PreservationUnproven, WipeRefused
from sync_api.failpoints import failpoint
from sync_api.finalizing.proof import mark_of, require_proof
from sync_api.finalizing.rows import LocalRows, Record, read_rows
from sync_api.finalizing.standstill import keep_writers_out
from sync_api.models import Finalization, LocalDevice, OutgoingTransaction
from sync_api.models.outgoing import BASELINE_REASON
from sync_api.overwriting import overwrite_deleted
from sync_api.recipients.forgetting import forget_sealed_payloads
from sync_api.transactions import immediate

WHY = "wiped after finalize"
DELETED_AT_ONCE = 500


def wipe(alias: str, finalization: Finalization) -> Finalization:
    """Remove what was marked, preserved and not changed since, and begin the next era with what stays.

    Opens its own transaction for all of it: killed anywhere, everything or nothing is gone, and it may run again.
    Verifies the stored receipt first. PreservationUnproven, WipeRefused, CaptureBroken, TablesBusy.
    """
    require_whole_capture(alias)
    overwrite_deleted(alias, on=True)
    with immediate(alias), not_captured(WHY):
        tables = captured_tables(alias, create=True)
        keep_writers_out(alias, tables)
        device = LocalDevice.objects.using(alias).select_for_update().get(pk=finalization.device_id)
        finalization.refresh_from_db(using=alias)
        if finalization.state == Finalization.State.WIPED:
            return finalization
        if finalization.state != Finalization.State.CONFIRMED:
            raise PreservationUnproven(device=device.name, what="the server's word is missing")
        receipt = require_proof(alias, device, finalization)
        reconcile_capture(alias, reason="finalize")
        rows = read_rows(alias, tables)
        marked = marked_records(finalization, rows)
        changed = changed_since(alias, device, finalization)
        kept = rows.with_referred(record for record in rows.all() if record in changed or record not in marked)
        removed = marked - kept
        remove(alias, tables, rows, removed)
        tell_again(alias, device, tables, (marked & kept) - changed)
        forget_payloads(alias, device, finalization, receipt, removed)
        finalization.state = Finalization.State.WIPED
        finalization.wiped_at = timezone.now()
        finalization.wiped = counted(removed, marked & kept)
        finalization.save(using=alias, update_fields=["state", "wiped_at", "wiped"])
        failpoint("finalize.before_wipe")
    failpoint("finalize.after_wipe")
    overwrite_deleted(alias, on=False)
    return finalization


def marked_records(finalization: Finalization, rows: LocalRows) -> set[Record]:
    """The marked records that are here. Of a whole mark all are: what was made since is among those changed since."""
    if not finalization.is_partial:
        return set(rows.all())
    models = mark_of(finalization).models.items()
    return {(label, key) for label, content in models for key in content.keys or () if (label, key) in rows}


def changed_since(alias: str, device: LocalDevice, finalization: Finalization) -> set[Record]:
    """Every record that the log names after the mark."""
    later = OutgoingTransaction.objects.using(alias).filter(device=device.name, id__gt=finalization.transaction_id)
    return set(later.order_by().values_list("tx_name", "tx_pk").distinct())


def remove(alias: str, tables: list[Captured], rows: LocalRows, removed: set[Record]) -> None:
    """Delete the rows, those that refer to others first, and nothing beside them. Call inside not_captured."""
    by_label: defaultdict[str, list[str]] = defaultdict(list)
    for label, key in removed:
        by_label[label].append(key)
    models = {captured.schema.label: captured.model for captured in tables}
    for label in referring_first(by_label, rows):
        model: Any = models[label]
        keys = [model._meta.pk.to_python(key) for key in by_label[label]]
        gone = 0
        for start in range(0, len(keys), DELETED_AT_ONCE):
            some = model._base_manager.using(alias).filter(pk__in=keys[start : start + DELETED_AT_ONCE])
            gone += some._raw_delete(alias)
        if gone != len(keys):
            raise WipeRefused(label=label)


def referring_first(labels: Iterable[str], rows: LocalRows) -> list[str]:
    """The labels so that each stands before those it refers to; where they refer in circles, anyhow."""
    wanted = sorted(labels)
    targets: defaultdict[str, set[str]] = defaultdict(set)
    for (label, _), referred in rows.references.items():
        targets[label].update(other for other, _ in referred if other != label)
    ordered: list[str] = []
    seen: set[str] = set()

    def visit(label: str) -> None:
        if label not in seen:
            seen.add(label)
            for other in sorted(targets[label]):
                visit(other)
            ordered.append(label)

    for label in wanted:
        visit(label)
    return [label for label in reversed(ordered) if label in wanted]


def tell_again(alias: str, device: LocalDevice, tables: list[Captured], kept: set[Record]) -> None:
    """Marked inserts of the rows that stay unchanged: with them the new era knows all that the device holds."""
    for captured in tables:
        label = captured.schema.label
        keys = {key for own, key in kept if own == label}
        if keys:
            changes: list[tuple[str, str, str | None]] = [
                ("I", key, payload) for key, payload in rows_now(alias, captured) if key in keys
            ]
            unit = secrets.randbits(UNIT_BITS) + 1
            missed = Missed(label, changes)
            record(alias, captured, device, missed, unit=unit, reason=BASELINE_REASON, is_baseline=True)


def forget_payloads(
    alias: str, device: LocalDevice, finalization: Finalization, receipt: dict[str, Any], removed: set[Record]
) -> None:
    """Empty the log's transactions that the receipt covers, or that the server held in earlier epochs."""
    if not finalization.is_partial:
        forget_sealed_payloads(alias, device, finalization.transaction_id)
    covered = Q(batch_epoch=receipt["epoch"], batch_number__lte=receipt["number"]) | Q(is_consumed_server=True)
    log = OutgoingTransaction.objects.using(alias).filter(
        covered, device=device.name, id__lt=finalization.transaction_id, payload__isnull=False
    )
    if not finalization.is_partial:
        log.update(payload=None)
        return
    for label in {label for label, _ in removed}:
        keys = [key for own, key in removed if own == label]
        for start in range(0, len(keys), DELETED_AT_ONCE):
            log.filter(tx_name=label, tx_pk__in=keys[start : start + DELETED_AT_ONCE]).update(payload=None)


def counted(removed: set[Record], kept: set[Record]) -> dict[str, dict[str, int]]:
    gone, left = (Counter(label for label, _ in records) for records in (removed, kept))
    return {label: {"removed": gone[label], "kept": left[label]} for label in sorted(gone.keys() | left.keys())}
