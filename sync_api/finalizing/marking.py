"""The mark: one line in the captured log, written together with what it says of the records."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence

from django.db import connections
from django.db.models import QuerySet

from audit.fields import from_microseconds
from sync_api.capture.context import CONTEXT
from sync_api.capture.definitions import Captured
from sync_api.capture.install import captured_tables
from sync_api.capture.reconcile import reconcile_capture
from sync_api.capture.state import UNIT_BITS, local_offset
from sync_api.capture.verify import require_whole_capture
from sync_api.clock import now_in_microseconds
from sync_api.conf import alias_settings, host_name
from sync_api.exceptions import FinalizationOpen, FinalizeInsideTransaction, NotEnrolled, NothingToFinalize
from sync_api.finalizing.choosing import chosen_records
from sync_api.finalizing.rows import LocalRows, Record, read_rows, vendor
from sync_api.finalizing.standstill import keep_writers_out
from sync_api.models import CaptureSchema, Finalization, LocalDevice, OutgoingTransaction
from sync_api.recipients.choosing import names_for_mark, sealed_models
from sync_api.transactions import immediate
from sync_api.wire.marks import (
    MARK,
    MARK_DESCRIPTION,
    MARK_LABEL,
    Content,
    Mark,
    manifest_of,
    mark_fingerprint,
    mark_payload,
    new_mark_id,
)

OPEN = (Finalization.State.MARKED, Finalization.State.CONFIRMED)


def open_finalizations(alias: str) -> QuerySet[Finalization]:
    """This device's finalization that is neither wiped nor given up: one at most."""
    name = alias_settings(alias).device
    return Finalization.objects.using(alias).filter(device__name=name, state__in=OPEN).select_related("device")


def mark(alias: str, *, records: Sequence[str] = (), reason: str = "") -> Finalization:
    """Mark all records of this device for preservation, or the chosen ones ("app.Model:key") to move them off.

    Opens its own transaction, with writers kept out: what the triggers missed is recorded first, then the manifest is
    computed and written with the mark's line. Changes nothing else. FinalizationOpen while another one is not ended;
    NothingToFinalize, NotEnrolled, CaptureBroken, BaselineMissing, TablesBusy, RecordNameInvalid, RecordsReferredTo,
    MarkNotReadable.
    """
    if connections[alias].in_atomic_block:
        raise FinalizeInsideTransaction
    require_whole_capture(alias)
    with immediate(alias):
        tables = captured_tables(alias, create=True)
        keep_writers_out(alias, tables)
        reconcile_capture(alias, reason="finalize")
        device = LocalDevice.objects.using(alias).select_for_update().get(name=alias_settings(alias).device)
        if not device.server_key:
            raise NotEnrolled(device=device.name)
        if open_finalizations(alias).exists():
            raise FinalizationOpen(device=device.name)
        return write_mark(alias, device, made_mark(alias, device, tables, records), reason=reason)


def made_mark(alias: str, device: LocalDevice, tables: list[Captured], names: Sequence[str]) -> Mark:
    rows = read_rows(alias, tables)
    contents = contents_of(rows, chosen_records(rows, names)) if names else whole_contents(rows)
    if not contents:
        raise NothingToFinalize(device=device.name)
    since = first_era(alias, device)
    made = Mark(new_mark_id(), bool(names), since, moved_since(alias, device, since), contents)
    names_for_mark(made, sealed_models())  # refused here, where nothing is written yet
    return made


def whole_contents(rows: LocalRows) -> dict[str, Content]:
    return {label: records.content() for label, records in sorted(rows.records.items()) if records.rows}


def contents_of(rows: LocalRows, chosen: Iterable[Record]) -> dict[str, Content]:
    keys: defaultdict[str, list[str]] = defaultdict(list)
    for label, key in chosen:
        keys[label].append(key)
    return {label: rows.records[label].only(own).content(with_keys=True) for label, own in sorted(keys.items())}


def wiped(alias: str, device: LocalDevice, *, is_partial: bool) -> QuerySet[Finalization]:
    return Finalization.objects.using(alias).filter(
        device=device, state=Finalization.State.WIPED, is_partial=is_partial
    )


def first_era(alias: str, device: LocalDevice) -> int:
    """The era after the last one whose records were wiped: there begins what this device holds now."""
    last = wiped(alias, device, is_partial=False).order_by("-era_ordinal").first()
    return 0 if last is None else min(last.era_ordinal + 1, device.era_ordinal)


def moved_since(alias: str, device: LocalDevice, since: int) -> tuple[str, ...]:
    moved = wiped(alias, device, is_partial=True).filter(era_ordinal__gte=since)
    return tuple(moved.order_by("id").values_list("mark_id", flat=True))


def write_mark(alias: str, device: LocalDevice, made: Mark, *, reason: str) -> Finalization:
    """The mark's line and its Finalization. Call inside the transaction that computed it."""
    storage = vendor(alias)
    schema, _ = CaptureSchema.objects.using(alias).get_or_create(
        fingerprint=mark_fingerprint(storage),
        defaults={"tx_name": MARK_LABEL, "storage": storage, "description": MARK_DESCRIPTION},
    )
    user = CONTEXT.get().user_name() or ""
    line = OutgoingTransaction(
        unit=secrets.randbits(UNIT_BITS) + 1,
        tx_name=MARK_LABEL,
        action=MARK,
        tx_pk=made.id,
        payload=mark_payload(made),
        schema=schema,
        user=user or None,
        reason=reason or None,
        producer=f"{device.name}/{host_name()}/{alias}",
        device=device.name,
        captured_at=from_microseconds(now_in_microseconds(alias)),
        utc_offset=local_offset(),
    )
    line.save(using=alias, force_insert=True)
    finalization = Finalization(
        device=device,
        mark_id=made.id,
        era_ordinal=device.era_ordinal,
        is_partial=made.is_partial,
        transaction_id=line.pk,
        manifest=manifest_of(made),
        marked_by=user,
        reason=reason,
    )
    finalization.save(using=alias, force_insert=True)
    return finalization
