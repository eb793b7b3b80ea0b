"""Registering what a camera made, taking in what another observatory sent, and the statuses over time.

`register_*` gives new ids and finds the status by the time; `import_*` keeps the ids and needs status and bytes here.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from django.db import DEFAULT_DB_ALIAS
from django.utils import timezone

from sync_api.files.store import ContentStore, Kept, chunks_of
from sync_api.imports.sessions import forget_contents
from sync_api.models import ImportedContent
from sync_api.transactions import immediate
from syncserver.observatory.contents import use_content
from syncserver.observatory.high_water import current_mark, remove_entities, roll_back
from syncserver.observatory.models import (
    Camera,
    CameraStatus,
    Event,
    EventMeta,
    FileMeta,
    FileRecord,
    time_of_day,
    to_milliseconds,
)
from syncserver.observatory.wire import EventData, FileData, MetaData

VALUE_FIELD = {"string": "string_value", "number": "number_value", "date": "date_value"}


class StatusMissing(Exception):
    """The camera has no status at that time. Call `update_camera_status` first."""


def get_camera_status(camera_id: str, time: datetime | None = None, *, alias: str = DEFAULT_DB_ALIAS) -> Any:
    """The camera's status at a time (default: now), or None."""
    statuses = CameraStatus.objects.using(alias).filter(camera__camera_id=camera_id)
    return statuses.filter(valid_from__lte=time or timezone.now()).order_by("-valid_from", "-status_id").first()


def valid_to(status: CameraStatus, *, alias: str = DEFAULT_DB_ALIAS) -> datetime | None:
    """The beginning of the camera's next status; None for the last one."""
    later = CameraStatus.objects.using(alias).filter(camera=status.camera_id, valid_from__gt=status.valid_from)
    return later.order_by("valid_from").values_list("valid_from", flat=True).first()


def update_camera_status(
    status: CameraStatus, camera_id: str, time: datetime | None = None, *, alias: str = DEFAULT_DB_ALIAS
) -> CameraStatus:
    """A new status from `time` on (default: now), under a new id. Opens its own transaction.

    A time before the high-water mark rolls the camera back to it: what was made under another status is not true.
    """
    moment = to_milliseconds(time or timezone.now())
    with immediate(alias):
        camera, _ = Camera.objects.using(alias).get_or_create(camera_id=camera_id)
        mark = current_mark(alias, camera)
        if mark is not None and moment < mark:
            roll_back(alias, camera, moment)
        status.status_id, status.camera, status.valid_from, status.imported_by = uuid.uuid4(), camera, moment, ""
        status._state.adding = True
        status.save(using=alias, force_insert=True)
    return status


def register_file(
    source: Path | IO[bytes],
    *,
    camera_id: str,
    file_time: datetime,
    mime_type: str,
    semantic_type: str,
    file_name: str | None = None,
    meta: Sequence[MetaData] = (),
    alias: str = DEFAULT_DB_ALIAS,
) -> FileRecord:
    """A new file; its bytes are copied into the store, and named in the same transaction (its own).

    StatusMissing, FileTooLarge, FilesDiskFull: nothing is kept.
    """
    moment = to_milliseconds(file_time)
    status = status_at(camera_id, moment, alias)
    store = ContentStore(alias)
    with store.receive(pieces(source)) as (path, kept), immediate(alias):
        store.keep(path, kept)
        file = FileRecord.objects.using(alias).create(
            camera=status.camera,
            status=status,
            file_time=moment,
            time_of_day_ms=time_of_day(moment),
            mime_type=mime_type,
            semantic_type=semantic_type,
            file_name=file_name,
            **content_facts(kept),
        )
        use_content(alias, file)
        write_meta(alias, FileMeta, {"file": file}, meta)
    return file


def register_event(
    *,
    camera_id: str,
    event_time: datetime,
    event_type: str,
    files: Iterable[FileRecord] = (),
    meta: Sequence[MetaData] = (),
    alias: str = DEFAULT_DB_ALIAS,
) -> Event:
    """A new event with files that are registered already. StatusMissing. Opens its own transaction."""
    moment = to_milliseconds(event_time)
    status = status_at(camera_id, moment, alias)
    with immediate(alias):
        event = Event.objects.using(alias).create(
            camera=status.camera,
            status=status,
            event_time=moment,
            time_of_day_ms=time_of_day(moment),
            event_type=event_type,
        )
        event.files.set(files)
        write_meta(alias, EventMeta, {"event": event}, meta)
    return event


def status_at(camera_id: str, moment: datetime, alias: str) -> CameraStatus:
    status: CameraStatus | None = get_camera_status(camera_id, moment, alias=alias)
    if status is None:
        raise StatusMissing(f"The camera {camera_id} has no status at {moment.isoformat()}.")
    return status


def pieces(source: Path | IO[bytes]) -> Iterable[bytes]:
    if isinstance(source, Path):
        with source.open("rb") as opened:
            yield from pieces(opened)
        return
    yield from chunks_of(source)


def content_facts(kept: Kept | ImportedContent) -> dict[str, Any]:
    return {"file_size": kept.size, "md5": kept.md5, "sha256": kept.sha256}


def write_meta(alias: str, model: Any, owner: dict[str, Any], meta: Sequence[MetaData]) -> None:
    rows = [model(**owner, key=one.key, kind=one.kind, **{VALUE_FIELD[one.kind]: one.value}) for one in meta]
    model.objects.using(alias).bulk_create(rows)


def import_status(alias: str, camera_id: str, status: CameraStatus, user: str) -> None:
    """Keep a status under its own id; known ones stay. It moves no high-water mark. Opens its own transaction."""
    with immediate(alias):
        camera, _ = Camera.objects.using(alias).get_or_create(camera_id=camera_id)
        status.camera, status.imported_by = camera, user
        CameraStatus.objects.using(alias).bulk_create([status], ignore_conflicts=True)


def import_file(alias: str, data: FileData, user: str) -> FileRecord:
    """Keep or replace an imported file's record. Its status and bytes are here. Opens its own transaction."""
    with immediate(alias):
        camera, _ = Camera.objects.using(alias).get_or_create(camera_id=data.camera_id)
        facts: dict[str, Any] = {
            "camera": camera,
            "status_id": data.status_id,
            "file_time": data.file_time,
            "time_of_day_ms": time_of_day(data.file_time),
            "mime_type": data.mime_type,
            "semantic_type": data.semantic_type,
            "file_name": data.file_name,
        }
        content = ImportedContent.objects.using(alias).filter(file_id=data.file_id.hex, md5=data.md5).first()
        if content is not None:
            facts |= content_facts(content)
        file: FileRecord = keep(alias, FileRecord, {"file_id": data.file_id}, facts, user)
        use_content(alias, file)
        if content is not None:
            forget_contents(alias, [content.file_id])
        FileMeta.objects.using(alias).filter(file=file).delete()
        write_meta(alias, FileMeta, {"file": file}, data.meta)
    return file


def import_event(alias: str, data: EventData, user: str) -> Event:
    """Keep or replace an imported event with its files, in one transaction (its own)."""
    with immediate(alias):
        files = [import_file(alias, file, user) for file in data.files]
        camera, _ = Camera.objects.using(alias).get_or_create(camera_id=data.camera_id)
        facts: dict[str, Any] = {
            "camera": camera,
            "status_id": data.status_id,
            "event_time": data.event_time,
            "time_of_day_ms": time_of_day(data.event_time),
            "event_type": data.event_type,
        }
        event: Event = keep(alias, Event, {"event_id": data.event_id}, facts, user)
        event.files.set(files)
        EventMeta.objects.using(alias).filter(event=event).delete()
        write_meta(alias, EventMeta, {"event": event}, data.meta)
    return event


def keep(alias: str, model: Any, identity: dict[str, Any], facts: dict[str, Any], user: str) -> Any:
    """The row of that id, new or as it is now. One that is this observatory's own is left as it is."""
    row = model.objects.using(alias).select_for_update().filter(**identity).first()
    if row is None:
        return model.objects.using(alias).create(**identity, **facts, imported_by=user, imported_at=timezone.now())
    if not row.imported_by:
        return row
    for name, value in facts.items():
        setattr(row, name, value)
    row.revision += 1
    row.save(using=alias)
    return row


def import_removal(alias: str, entity_type: str, entity_id: str) -> None:
    """Remove what the source removed, if it was imported. Opens its own transaction."""
    models: dict[str, Any] = {"event": Event, "file": FileRecord, "status": CameraStatus}
    model = models[entity_type]
    with immediate(alias):
        rows = model.objects.using(alias).filter(pk=uuid.UUID(hex=entity_id)).exclude(imported_by="")
        if entity_type == "status":
            rows = rows.filter(event__isnull=True, filerecord__isnull=True)
        remove_entities(alias, entity_type, rows)
        forget_contents(alias, [entity_id])
