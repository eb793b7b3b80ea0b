"""All that a client without a log can ask for. REST, the seed's wire and tests call the same functions.

Each opens its own transaction, under the lock of the device's row, so that two at once for one device take turns. Each
may run twice: a request with the same idempotency key gets the stored answer and changes nothing. A refusal is a
SyncError with a stable code; nothing of the request is then written, and an open upload stays usable.
Source: the seed of CamCOPS's client_api, class Operations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from audit.engine import Key
from audit.engine.preserve import written_tables
from audit.fields import to_microseconds
from audit.mirror.columns import NOW
from audit.models import Device
from sync_api import conf
from sync_api.collector import collector_paused
from sync_api.exceptions import KeyReused, RowsInvalid, SyncError, UploadNotOpen, UploadTooLarge
from sync_api.failpoints import failpoint
from sync_api.models import Upload
from sync_api.transactions import immediate
from sync_api.uploads.committing import commit
from sync_api.uploads.folding import Draft
from sync_api.uploads.opening import (
    Reply,
    State,
    checked_key,
    end,
    last_upload_of,
    locked_device,
    locked_upload,
    note_refusal,
    note_refused,
    open_upload_of,
    roll_back_open,
)
from sync_api.uploads.rows import NO_ROWS, read_keys, read_moments, read_moved, read_rows
from sync_api.uploads.steps import fold, pack, take_step
from sync_api.uploads.tables import TableForm, find_forms, form_of

__all__ = [
    "Reply",
    "delete_where_key_not",
    "end_upload",
    "last_upload_of",
    "open_upload_of",
    "roll_back",
    "start_preservation",
    "start_upload",
    "upload_empty_tables",
    "upload_entire_database",
    "upload_record",
    "upload_table",
    "which_keys_to_send",
]


def start_upload(alias: str, *, user: Any, device: Device, key: str = "", app_version: str = "") -> Reply:
    """Open an upload. What the device has open, of whichever user, is rolled back."""
    key = checked_key(key)
    digest = hashlib.sha256(pack({"start_upload": app_version, "user": user.get_username()})).hexdigest()
    with immediate(alias):
        fresh = locked_device(alias, device, user)
        known = known_upload(alias, fresh, key, digest)
        if known is not None:
            return Reply(str(known.pk), started(known), is_repeated=True)
        upload = opened(alias, fresh, user, key, digest, app_version)
        return Reply(str(upload.pk), started(upload))


def start_preservation(alias: str, *, user: Any, upload: Upload | str, key: str = "") -> Reply:
    """When this upload is committed, everything of the device leaves the era NOW."""

    def act(at_work: Upload) -> dict[str, Any]:
        at_work.is_preserving = True
        at_work.save(using=alias, update_fields=["is_preserving"])
        return {"upload": str(at_work.pk), "preserving": True}

    return take_step(alias, user=user, upload=upload, operation="start_preservation", key=key, content={}, act=act)


def upload_empty_tables(alias: str, *, user: Any, upload: Upload | str, tables: Sequence[str], key: str = "") -> Reply:
    """These tables hold nothing on the device: their current records are deleted when the upload is committed."""

    def act(at_work: Upload) -> dict[str, Any]:
        return {"tables": [form.name for form in forms_of(alias, at_work, tables)]}

    return take_step(
        alias, user=user, upload=upload, operation="upload_empty_tables", key=key, content={"tables": tables}, act=act
    )


def upload_table(alias: str, *, user: Any, upload: Upload | str, table: str, rows: Any, key: str = "") -> Reply:
    """All that one table holds. Sent again within the upload, the later counts."""

    def act(at_work: Upload) -> dict[str, Any]:
        (form,) = forms_of(alias, at_work, [table])
        return {"table": form.name, "rows": len(read_rows(form, rows).keys)}

    content = {"table": table, "rows": rows}
    return take_step(alias, user=user, upload=upload, operation="upload_table", key=key, content=content, act=act)


def upload_record(alias: str, *, user: Any, upload: Upload | str, table: str, row: Any, key: str = "") -> Reply:
    """One record, for tables too large to be sent in one piece. The others of the table stay as they are."""

    def act(at_work: Upload) -> dict[str, Any]:
        (form,) = forms_of(alias, at_work, [table])
        return {"table": form.name, "rows": len(read_rows(form, [row]).keys)}

    content = {"table": table, "row": row}
    return take_step(alias, user=user, upload=upload, operation="upload_record", key=key, content=content, act=act)


def delete_where_key_not(
    alias: str, *, user: Any, upload: Upload | str, table: str, keys: Sequence[Any], key: str = ""
) -> Reply:
    """The table holds these keys and no others: the others are deleted when the upload is committed."""

    def act(at_work: Upload) -> dict[str, Any]:
        (form,) = forms_of(alias, at_work, [table])
        return {"table": form.name, "keys": len(read_keys(form, keys))}

    content = {"table": table, "keys": keys}
    return take_step(
        alias, user=user, upload=upload, operation="delete_where_key_not", key=key, content=content, act=act
    )


def which_keys_to_send(
    alias: str,
    *,
    user: Any,
    upload: Upload | str,
    table: str,
    keys: Sequence[Any],
    modified: Sequence[Any] | None,
    moved: Sequence[Any] | None = None,
    key: str = "",
) -> Reply:
    """Of these records, the keys of those that the server does not have as they were last modified.

    `modified` and `moved` stand beside the keys: modification times, and flags of those to leave the era. Records that
    are not listed are deleted at the commit; those asked for have to be sent before it (`upload_record`). A record
    without a modification time is asked for always.
    """

    def act(at_work: Upload) -> dict[str, Any]:
        (form,) = forms_of(alias, at_work, [table])
        told = read_keys(form, keys)
        read_moved(form, moved, told)
        return {
            "table": form.name,
            "keys": lacking(alias, at_work, form, told, read_moments(form, modified, len(told))),
        }

    content = {"table": table, "keys": keys, "modified": modified, "moved": moved}
    return take_step(alias, user=user, upload=upload, operation="which_keys_to_send", key=key, content=content, act=act)


def end_upload(alias: str, *, user: Any, upload: Upload | str, key: str = "") -> Reply:
    """Commit the upload as a whole, in one database transaction. Asked again, the same answer."""
    try:
        with collector_paused(), immediate(alias):
            at_work = locked_upload(alias, upload, user)
            if at_work.state == State.COMMITTED and at_work.reply is not None:
                return Reply(str(at_work.pk), at_work.reply, is_repeated=True)
            require_open(at_work)
            body = commit(alias, at_work, user, fold(alias, at_work).values())
            failpoint("upload.before_commit")
        failpoint("upload.after_commit")
        return Reply(str(at_work.pk), body)
    except SyncError as error:
        note_refusal(alias, upload, operation="end_upload", table="", error=error)
        raise


def roll_back(alias: str, *, user: Any, upload: Upload | str, key: str = "") -> Reply:
    """Give the upload up: what it has staged goes. Asked again, the same answer."""
    with immediate(alias):
        at_work = locked_upload(alias, upload, user)
        is_repeated = at_work.state == State.ROLLED_BACK
        if not is_repeated:
            require_open(at_work)
            end(alias, at_work, State.ROLLED_BACK, why=f"{user.get_username()} gave it up")
        return Reply(str(at_work.pk), {"upload": str(at_work.pk), "state": at_work.state}, is_repeated)


def upload_entire_database(
    alias: str,
    *,
    user: Any,
    device: Device,
    tables: Mapping[str, Any],
    preserving: bool = False,
    key: str = "",
    app_version: str = "",
    request_hash: str = "",
) -> Reply:
    """All tables of the device in one step, committed as a whole. A table that is left out is empty.

    `request_hash` is the SHA-256 of the request, if the caller has its bytes. Without a `key`, an upload that moved
    records and is the device's last is not done a second time: its stored answer is given.
    """
    key = checked_key(key)
    digest = request_hash or hashlib.sha256(pack({"tables": tables, "preserving": preserving})).hexdigest()
    try:
        with collector_paused(), immediate(alias):
            fresh = locked_device(alias, device, user)
            known = known_upload(alias, fresh, key, digest) or lately_moved(alias, fresh, key, digest)
            if known is not None and known.reply is not None:
                return Reply(str(known.pk), known.reply, is_repeated=True)
            upload = opened(alias, fresh, user, key, digest, app_version, is_one_step=True, is_preserving=preserving)
            body = commit(alias, upload, user, whole_database(alias, upload, tables))
            failpoint("upload.before_commit")
        failpoint("upload.after_commit")
        return Reply(str(upload.pk), body)
    except SyncError as error:
        note_refused(alias, device, user, app_version=app_version[:50], error=error)
        raise


def whole_database(alias: str, upload: Upload, tables: Mapping[str, Any]) -> list[Draft]:
    """A draft of every table given, and of every other one with records of the device in the era NOW: those go."""
    if not isinstance(tables, Mapping):
        raise RowsInvalid(table="the database", what="'tables' is no object by table")
    drafts = []
    for form, rows in zip(forms_of(alias, upload, tables), tables.values(), strict=True):
        draft = Draft(form)
        draft.whole(read_rows(form, rows))
        drafts.append(draft)
    given = {draft.form.table for draft in drafts}
    for table in written_tables(alias, upload.device):
        if table not in given:
            draft = Draft(form_of(alias, table))
            draft.whole(NO_ROWS)
            drafts.append(draft)
    return drafts


def lacking(alias: str, upload: Upload, form: TableForm, keys: list[Key], moments: list[int | None]) -> list[Key]:
    """Those keys whose record here, or staged by this upload, is another or was modified at another time."""
    draft = fold(alias, upload).get(form)
    staged: dict[Key, int | None] = {}
    if draft is not None:
        for key, (number, place) in draft.staged().items():
            times = draft.parts[number].modified
            staged[key] = None if times is None else times[place]
    known = {**times_here(alias, upload, form), **staged} if draft_keeps(draft) else staged
    return [key for key, moment in zip(keys, moments, strict=True) if moment is None or known.get(key) != moment]


def times_here(alias: str, upload: Upload, form: TableForm) -> dict[Key, int | None]:
    """By key: when each current record was modified. Nothing else of it is read, as it may be large."""
    if form.modified is None:
        return {}
    table = form.table
    current = table.mirror._default_manager.using(alias).filter(
        mirror_device=upload.device_id, mirror_era=NOW, mirror_current=True
    )
    rows = current.values_list(table.key, table.columns[form.modified])
    return {table.canonical_key(key): None if moment is None else to_microseconds(moment) for key, moment in rows}


def draft_keeps(draft: Draft | None) -> bool:
    """Whether the records that are there stay, as far as the upload has said."""
    return draft is None or draft.listed is None or bool(draft.listed)


def forms_of(alias: str, upload: Upload, names: Any) -> list[TableForm]:
    names = list(names)
    tables_max = int(conf.limit("SYNC_UPLOAD_TABLES_MAX"))
    if len(names) > tables_max:
        raise UploadTooLarge(what="tables", size=len(names), size_max=tables_max, setting="SYNC_UPLOAD_TABLES_MAX")
    return find_forms(alias, names, app_version=upload.app_version)


def known_upload(alias: str, device: Device, key: str, digest: str) -> Upload | None:
    """The upload that this key began. KeyReused if it was another request."""
    if not key:
        return None
    upload = Upload.objects.using(alias).filter(device=device, key=key).first()
    if upload is not None and upload.request_hash != digest:
        raise KeyReused(key=key)
    return upload


def lately_moved(alias: str, device: Device, key: str, digest: str) -> Upload | None:
    """The device's last upload, if it was this request without a key and moved records."""
    last = None if key else last_upload_of(alias, device)
    if last is None or last.key or not last.has_moved or last.request_hash != digest:
        return None
    return last


def opened(alias: str, device: Device, user: Any, key: str, digest: str, app_version: str, **facts: bool) -> Upload:
    """Roll back what is open and open another. Call under the device's lock."""
    name = user.get_username()
    roll_back_open(alias, device, why=f"{name} began another upload")
    upload = Upload(device=device, user=name, key=key, request_hash=digest, app_version=app_version[:50], **facts)
    upload.save(using=alias, force_insert=True)
    return upload


def started(upload: Upload) -> dict[str, Any]:
    return {"upload": str(upload.pk), "state": State.OPEN.value, "started_at": upload.started_at.isoformat()}


def require_open(upload: Upload) -> None:
    if upload.state != State.OPEN:
        raise UploadNotOpen(upload=str(upload.pk), state=upload.get_state_display(), why=upload.ended_why)
