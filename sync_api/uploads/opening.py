"""An upload's life: at most one is open per device, and whatever ends it is kept with it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from audit.engine import lock_device
from audit.models import Device, TableChanges
from sync_api import conf
from sync_api.exceptions import DeviceSendsLog, KeyInvalid, NotPermitted, SyncError, UploadDeviceRevoked, UploadUnknown
from sync_api.models import Upload, UploadStep
from sync_api.models.uploads import KEY_LENGTH_MAX
from sync_api.transactions import immediate
from sync_api.uploads.devices import check_may_upload
from sync_api.uploads.kinds import check_uploads_states
from sync_api.uploads.tables import tables_by_name

State = Upload.State

REFUSAL_TEXT_LENGTH_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request of an upload. `is_repeated`: the stored one of the same request before."""

    upload_id: str
    body: dict[str, Any]
    is_repeated: bool = False


def checked_key(key: str) -> str:
    """An idempotency key as it is kept; empty for none. KeyInvalid."""
    if len(key) > KEY_LENGTH_MAX or not ((key.isascii() and key.isprintable()) or not key):
        raise KeyInvalid(length_max=KEY_LENGTH_MAX)
    return key


def locked_device(alias: str, device: Device, user: Any) -> Device:
    """The device as it is now, its row locked until the transaction ends; checked that `user` may upload for it."""
    lock_device(alias, device.pk)
    fresh = Device.objects.using(alias).select_related("group").get(pk=device.pk)
    check_may_upload(alias, user, fresh)
    check_uploads_states(fresh)
    return fresh


def locked_upload(alias: str, upload: Upload | str, user: Any) -> Upload:
    """The upload as it is now, its device's row locked. UploadUnknown when it is not, or another user's."""
    known = find_upload(alias, upload)
    if known is None:
        raise UploadUnknown(upload=str(upload))
    device = locked_device(alias, known.device, user)
    fresh = Upload.objects.using(alias).get(pk=known.pk)
    if fresh.user != user.get_username():
        raise UploadUnknown(upload=str(known.pk))
    fresh.device = device
    return fresh


def find_upload(alias: str, upload: Upload | str) -> Upload | None:
    if isinstance(upload, Upload):
        return upload
    try:
        number = uuid.UUID(upload)
    except (ValueError, AttributeError, TypeError):
        return None
    return Upload.objects.using(alias).select_related("device").filter(pk=number).first()


def open_upload_of(alias: str, device: Device) -> Upload | None:
    """The device's open upload, if there is one."""
    return Upload.objects.using(alias).filter(device=device, state=State.OPEN).first()


def last_upload_of(alias: str, device: Device) -> Upload | None:
    """The device's upload that was begun last and not refused."""
    uploads = Upload.objects.using(alias).filter(device=device).exclude(state=State.REFUSED)
    return uploads.order_by("-started_at").first()


def roll_back_open(alias: str, device: Device, *, why: str) -> None:
    """Roll back what the device has open, if anything: its own staging goes, nothing else. Call under its lock."""
    upload = open_upload_of(alias, device)
    if upload is not None:
        end(alias, upload, State.ROLLED_BACK, why=why)


def end(alias: str, upload: Upload, state: str, *, why: str = "") -> None:
    """End an upload. What it has staged goes; the steps' keys and answers stay. Call under the device's lock."""
    upload.state, upload.ended_at, upload.ended_why = state, timezone.now(), why
    upload.save(using=alias)
    steps = UploadStep.objects.using(alias).filter(upload=upload)
    steps.filter(key="").delete()
    steps.update(content=None)


NOT_KEPT = (NotPermitted, UploadDeviceRevoked, UploadUnknown, DeviceSendsLog)
"""Refusals of those who may not upload there: nobody fills another's device with them."""


def note_refusal(alias: str, upload: Upload | str, *, operation: str, table: str, error: SyncError) -> None:
    """Keep with the open upload that a request of it was refused. Opens its own transaction."""
    known = find_upload(alias, upload)
    if known is None or isinstance(error, NOT_KEPT):
        return
    with immediate(alias):
        lock_device(alias, known.device_id)
        fresh = Upload.objects.using(alias).get(pk=known.pk)
        if fresh.state == State.OPEN:
            told = {"at": timezone.now().isoformat(), "operation": operation, "table": table, "code": error.code}
            kept = int(conf.limit("SYNC_UPLOAD_REFUSALS_KEPT_MAX"))
            fresh.refusals = [*fresh.refusals, told][-kept:]
            fresh.save(using=alias, update_fields=["refusals"])
            audit_refusal(alias, fresh.device_id, fresh.user, table=table, error=error)


def note_refused(alias: str, device: Device, user: Any, *, app_version: str, error: SyncError) -> None:
    """Keep that an upload in one step was refused. Opens its own transaction."""
    if isinstance(error, NOT_KEPT):
        return
    now = timezone.now()
    kept = int(conf.limit("SYNC_UPLOAD_REFUSALS_KEPT_MAX"))
    with immediate(alias):
        lock_device(alias, device.pk)
        refused = Upload.objects.using(alias).filter(device=device, state=State.REFUSED)
        surplus = list(refused.order_by("-started_at").values_list("pk", flat=True)[kept - 1 :])
        Upload.objects.using(alias).filter(pk__in=surplus).delete()
        Upload.objects.using(alias).create(
            device=device,
            user=user.get_username(),
            state=State.REFUSED,
            is_one_step=True,
            app_version=app_version,
            started_at=now,
            ended_at=now,
            ended_why=str(error),
            code=error.code,
        )
        audit_refusal(alias, device.pk, user.get_username(), table="", error=error)


def audit_refusal(alias: str, device_id: int, user: str, *, table: str, error: SyncError) -> None:
    """The audit's row of what was not committed, without counts. Call inside a transaction."""
    known = tables_by_name().get(table)
    TableChanges.objects.using(alias).create(
        device_id=device_id,
        committed_at=timezone.now(),
        committed_by=user,
        model=known.label if known is not None else "",
        code=error.code,
        text=str(error)[:REFUSAL_TEXT_LENGTH_MAX],
    )
