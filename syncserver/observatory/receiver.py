"""The database receiver: replicates events and files with their statuses and bytes into this observatory."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from django.db import IntegrityError

from sync_api.exceptions import ImportRefused
from sync_api.files.store import ContentStore, Kept
from sync_api.imports.receivers import Answer, BaseImportReceiver, DeclaredFile, ImportRequest
from sync_api.imports.sessions import forget_expired, note_content
from sync_api.models import ImportedContent
from syncserver.observatory.contents import is_whole
from syncserver.observatory.models import CameraStatus, Event, FileRecord
from syncserver.observatory.records import import_event, import_file, import_removal, import_status
from syncserver.observatory.wire import (
    FileData,
    Invalid,
    event_dict,
    file_dict,
    parse_event,
    parse_file,
    parse_status,
)


class DatabaseImportReceiver(BaseImportReceiver):
    """Asks for what is missing, one thing at a time, and imports the whole in one transaction.

    What is here and the same is complete. What was imported and was changed at its source since is replaced; a record
    that is this observatory's own is never touched.
    """

    def receive_event(self, request: ImportRequest) -> Answer | None:
        data = parsed(parse_event, request.body)
        known = read_event(request.alias, data.event_id)
        if known is not None and not known.imported_by:
            return request.response_complete()
        same = known is not None and parsed(parse_event, event_dict(known)) == data
        missing = self.missing(request, [data.status_id, *(file.status_id for file in data.files)], data.files)
        if missing is not None:
            return missing
        return None if same else kept(request, lambda: import_event(request.alias, data, request.user))

    def receive_file(self, request: ImportRequest) -> Answer | None:
        data = parsed(parse_file, request.body)
        known = read_file(request.alias, data.file_id)
        if known is not None and not known.imported_by:
            return request.response_complete()
        same = known is not None and parsed(parse_file, file_dict(known)) == data
        missing = self.missing(request, [data.status_id], [data])
        if missing is not None:
            return missing
        return None if same else kept(request, lambda: import_file(request.alias, data, request.user))

    def receive_status(self, request: ImportRequest) -> Answer | None:
        camera_id, status = parsed(parse_status, request.body)
        import_status(request.alias, camera_id, status, request.user)
        return None

    def receive_tombstone(self, request: ImportRequest) -> Answer | None:
        import_removal(request.alias, request.body["entity_type"], request.entity_id)
        return None

    def receive_file_data(self, alias: str, user: str, declared: DeclaredFile, kept: Kept) -> None:
        note_content(alias, user, declared, kept)
        forget_expired(alias)

    def missing(
        self, request: ImportRequest, statuses: Iterable[uuid.UUID], files: Iterable[FileData]
    ) -> Answer | None:
        """The first thing to ask for, or None."""
        wanted = list(dict.fromkeys(statuses))
        rows = CameraStatus.objects.using(request.alias).filter(pk__in=wanted)
        known = set(rows.values_list("pk", flat=True))
        for status_id in wanted:
            if status_id not in known:
                return request.response_need_dependency("status", status_id.hex)
        for file in without_bytes(request.alias, list(files)):
            return request.response_need_file_data(file.file_id.hex)
        return None


def kept(request: ImportRequest, work: Callable[[], object]) -> Answer | None:
    """Import; when another exchange brought the same record in the same moment, look again."""
    try:
        work()
    except IntegrityError:
        return request.response_continue()
    return None


def without_bytes(alias: str, files: list[FileData]) -> Iterable[FileData]:
    """The files whose bytes are not here, or not whole. Three statements, and reading.

    Bytes that came for this import were verified when they came. Those of a record that is here already are read,
    so that what was damaged since is asked for again.
    """
    records = FileRecord.objects.using(alias).in_bulk([file.file_id for file in files])
    arrived = {
        content.file_id: content
        for content in ImportedContent.objects.using(alias).filter(file_id__in=[file.file_id.hex for file in files])
    }
    lacking = ContentStore(alias).lacking({content.sha256 for content in arrived.values()})
    for file in files:
        content = arrived.get(file.file_id.hex)
        if content is not None and content.md5 == file.md5 and content.sha256 not in lacking:
            continue
        record = records.get(file.file_id)
        if record is None or (record.imported_by and not is_same_and_whole(alias, record, file)):
            yield file


def is_same_and_whole(alias: str, record: FileRecord, file: FileData) -> bool:
    same = record.md5 == file.md5 and record.file_size == file.file_size
    return same and is_whole(alias, record)


def read_event(alias: str, event_id: uuid.UUID) -> Event | None:
    rows: Any = Event.objects.using(alias).select_related("camera").filter(pk=event_id)
    event: Event | None = rows.prefetch_related("meta", "files__meta", "files__camera").first()
    return event


def read_file(alias: str, file_id: uuid.UUID) -> FileRecord | None:
    rows: Any = FileRecord.objects.using(alias).select_related("camera").filter(pk=file_id)
    file: FileRecord | None = rows.prefetch_related("meta").first()
    return file


def parsed(parse: Any, body: dict[str, Any]) -> Any:
    """ImportRefused names the field that is wrong."""
    try:
        return parse(body)
    except Invalid as error:
        raise ImportRefused(f"{error}.") from None
