"""Steps of an open upload: taken once, staged in a table of their own, folded when the upload ends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from sync_api import conf
from sync_api.exceptions import KeyReused, SyncError, UploadNotOpen, UploadTooLarge
from sync_api.models import Upload, UploadStep
from sync_api.transactions import immediate
from sync_api.uploads.folding import Draft
from sync_api.uploads.opening import Reply, State, checked_key, locked_upload, note_refusal
from sync_api.uploads.rows import read_keys, read_moved, read_rows
from sync_api.uploads.tables import TableForm, find_forms

Act = Callable[[Upload], dict[str, Any]]
Drafts = dict[TableForm, Draft]


def take_step(
    alias: str, *, user: Any, upload: Upload | str, operation: str, key: str, content: Mapping[str, Any], act: Act
) -> Reply:
    """Do one step of an open upload, or give the stored answer to the same request again.

    Opens its own transaction, under the lock of the device's row. `act` checks the step and answers; what it refuses is
    noted with the upload, which stays open and as it was. UploadNotOpen, KeyReused, and what `act` raises.
    """
    key = checked_key(key)
    packed = pack(content)
    digest = hashlib.sha256(operation.encode() + b"\n" + packed).hexdigest()
    try:
        with immediate(alias):
            at_work = locked_upload(alias, upload, user)
            known = answered(alias, at_work, key, digest)
            if known is not None:
                return known
            if at_work.state != State.OPEN:
                raise UploadNotOpen(upload=str(at_work.pk), state=at_work.get_state_display(), why=at_work.ended_why)
            body = act(at_work)
            keep(alias, at_work, operation, key, digest, packed, body)
            return Reply(str(at_work.pk), body)
    except SyncError as error:
        note_refusal(alias, upload, operation=operation, table=str(content.get("table", ""))[:200], error=error)
        raise


def answered(alias: str, upload: Upload, key: str, digest: str) -> Reply | None:
    if not key:
        return None
    step = UploadStep.objects.using(alias).filter(upload=upload, key=key).first()
    if step is None:
        return None
    if step.request_hash != digest:
        raise KeyReused(key=key)
    return Reply(str(upload.pk), step.reply, is_repeated=True)


def keep(
    alias: str, upload: Upload, operation: str, key: str, digest: str, packed: bytes, body: dict[str, Any]
) -> None:
    """Stage the step. What was staged before stays below the limits."""
    is_open = upload.state == State.OPEN
    content = packed if is_open and operation in FOLD else None
    if content is None and not key:
        return
    UploadStep.objects.using(alias).create(
        upload=upload, operation=operation, key=key, request_hash=digest, content=content, reply=body
    )
    upload.staged_steps += 1
    upload.staged_bytes += len(content or b"")
    for what, size, setting in (
        ("steps", upload.staged_steps, "SYNC_UPLOAD_STEPS_MAX"),
        ("bytes staged", upload.staged_bytes, "SYNC_UPLOAD_STAGED_BYTES_MAX"),
    ):
        if size > (size_max := int(conf.limit(setting))):
            raise UploadTooLarge(what=what, size=size, size_max=size_max, setting=setting)
    upload.save(using=alias, update_fields=["staged_steps", "staged_bytes"])


def pack(content: Mapping[str, Any]) -> bytes:
    """JSON of what a client sent; bytes of a binary column become {"hex": ...}."""
    try:
        return orjson.dumps(content, default=tagged)
    except (TypeError, RecursionError):
        return json.dumps(content, default=tagged).encode("utf-8", "surrogatepass")


def tagged(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    return {"not_json": type(value).__name__}


def unpack(content: bytes | memoryview) -> Any:
    text = bytes(content)
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text)


def fold(alias: str, upload: Upload, steps: Iterable[UploadStep] | None = None) -> Drafts:
    """What the staged steps say of each table, in their order. One statement, however many steps."""
    drafts: Drafts = {}
    if steps is None:
        steps = UploadStep.objects.using(alias).filter(upload=upload, content__isnull=False).order_by("pk").iterator()
    for step in steps:
        assert step.content is not None, "steps of an open upload keep their content"
        content = unpack(step.content)
        names = content["tables"] if step.operation == "upload_empty_tables" else [content["table"]]
        for form in find_forms(alias, names, app_version=upload.app_version):
            draft = drafts.setdefault(form, Draft(form))
            FOLD[step.operation](draft, content, step.reply)
    return drafts


def whole(draft: Draft, content: Any, reply: Any) -> None:
    draft.whole(read_rows(draft.form, content["rows"]))


def record(draft: Draft, content: Any, reply: Any) -> None:
    draft.record(read_rows(draft.form, [content["row"]]))


def empty(draft: Draft, content: Any, reply: Any) -> None:
    draft.whole(read_rows(draft.form, []))


def listed(draft: Draft, content: Any, reply: Any) -> None:
    draft.keys(read_keys(draft.form, content["keys"]))


def asked(draft: Draft, content: Any, reply: Any) -> None:
    keys = read_keys(draft.form, content["keys"])
    moved = read_moved(draft.form, content["moved"], keys)
    draft.keys(keys, moved=moved, asked=read_keys(draft.form, reply["keys"]))


FOLD: dict[str, Callable[[Draft, Any, Any], None]] = {
    "upload_table": whole,
    "upload_record": record,
    "upload_empty_tables": empty,
    "delete_where_key_not": listed,
    "which_keys_to_send": asked,
}
"""By operation: what its content says of a table."""
