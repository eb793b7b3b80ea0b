"""Commits an upload as a whole: additions, removals, preservation, then the checks; or nothing of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.db import DataError, IntegrityError, InterfaceError
from django.utils import timezone

from audit.engine import Committed, Stamp, commit_states, plan_states
from audit.fields import from_microseconds, to_microseconds
from audit.models import Device, Source, TableChanges
from audit.models.commits import KINDS_OF_CHANGE
from sync_api.exceptions import RowsNotStorable
from sync_api.models import Upload
from sync_api.uploads.checking import check_commit
from sync_api.uploads.folding import Draft
from sync_api.uploads.offsets import keep_offsets
from sync_api.uploads.opening import end

REFUSALS = (DataError, IntegrityError, InterfaceError)


def commit(alias: str, upload: Upload, user: Any, drafts: Iterable[Draft]) -> dict[str, Any]:
    """Commit what the drafts say, and end the upload; the answer's body, stored with it.

    Call inside a transaction, under the device's lock. A SyncError leaves it to the caller to take all back. The
    number of statements depends on the tables, not on the rows.
    """
    device = upload.device
    rows = {draft.form: draft.rows() for draft in drafts}
    states = {draft.form.table: draft.state(rows[draft.form]) for draft in drafts}
    moved = {draft.form.table: draft.moved for draft in drafts}
    source = Source.objects.using(alias).create(
        device=device, kind=Source.Kind.UPLOAD, reference=upload.pk.hex, app_version=upload.app_version
    )
    name = user.get_username()
    stamp = Stamp(to_microseconds(upload.started_at), None, name, None, f"{device.name}/upload")
    try:
        plan = plan_states(alias, device.pk, states, stamp)
        committed = commit_states(
            alias, device, plan, source, name, upload.app_version, is_preserving=upload.is_preserving, moved=moved
        )
    except REFUSALS as error:
        raise RowsNotStorable from error
    keep_offsets(alias, upload, plan, committed, rows)
    check_commit(alias, user=user, device=device, changes=committed.changes, era=committed.era or None)
    seen = {"last_seen_at": timezone.now()} | ({"app_version": upload.app_version} if upload.app_version else {})
    Device.objects.using(alias).filter(pk=device.pk).update(**seen)
    upload.era = committed.era
    upload.has_moved = bool(committed.era)
    upload.reply = body_of(upload, committed)
    end(alias, upload, Upload.State.COMMITTED)
    return upload.reply


def body_of(upload: Upload, committed: Committed) -> dict[str, Any]:
    return {
        "upload": str(upload.pk),
        "state": Upload.State.COMMITTED.value,
        "committed_at": from_microseconds(committed.moment).isoformat(),
        "era": committed.era,
        "tables": {table_name(change): counts(change) for change in committed.changes},
    }


def table_name(change: TableChanges) -> str:
    return str(apps.get_model(change.model)._meta.db_table)


def counts(change: TableChanges) -> dict[str, int]:
    """As the seed counts: a modified record's new version is among the added ones, its old one is modified (out)."""
    told = {kind: len(change.keys.get(kind, ())) for kind in KINDS_OF_CHANGE} | {"identical": change.identical}
    return {kind: count for kind, count in told.items() if count}
