"""Events and files as exportable entities, and how they speak MeteorPi's protocol."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from sync_api.exceptions import LocalContentMissing
from sync_api.exports.conversation import Content
from sync_api.exports.sources import ENTITY, VERSION, ModelSource
from sync_api.models import ExportConfiguration, ExportTask
from syncserver.observatory.contents import open_content
from syncserver.observatory.models import CameraStatus, Event, FileRecord, Tombstone
from syncserver.observatory.records import valid_to
from syncserver.observatory.search import EVENTS, FILES, Kind, restriction
from syncserver.observatory.wire import event_dict, file_dict, status_dict


class ObservatoryWire:
    """What MeteorPi's protocol needs of either kind. Tombstones go to targets that were said to take them."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def bodies(self, alias: str, tasks: Sequence[ExportTask]) -> dict[int, dict[str, Any]]:
        """A fixed number of statements for any number of tasks."""
        present = {task.pk: uuid.UUID(hex=task.entity) for task in tasks if not task.is_deletion}
        related = ["meta", "files__meta", "files__camera"] if self.kind is EVENTS else ["meta"]
        rows: Any = self.kind.model._default_manager.using(alias).filter(pk__in=set(present.values()))
        found = {row.pk: row for row in rows.select_related("camera").prefetch_related(*related)}
        bodies = {pk: self.body(found[key]) for pk, key in present.items() if key in found}
        return bodies | self.tombstones(alias, [task for task in tasks if task.is_deletion])

    def body(self, row: Any) -> dict[str, Any]:
        if self.kind is EVENTS:
            return {"type": "event", "event": event_dict(row)}
        return {"type": "file", "file": file_dict(row)}

    def tombstones(self, alias: str, tasks: Sequence[ExportTask]) -> dict[int, dict[str, Any]]:
        removed = Tombstone.objects.using(alias).in_bulk([task.version for task in tasks])
        return {
            task.pk: {
                "type": "tombstone",
                "tombstone": {"tombstone_id": task.entity, "entity_type": removed[task.version].entity_type},
            }
            for task in tasks
            if task.version in removed
        }

    def dependency(self, alias: str, kind: str, dependency_id: str) -> dict[str, Any] | None:
        if kind != "status":
            return None
        statuses = CameraStatus.objects.using(alias).select_related("camera")
        status = statuses.filter(pk=uuid.UUID(hex=dependency_id)).first()
        if status is None:
            return None
        return {"type": "status", "status": status_dict(status, valid_to(status, alias=alias))}

    def content(self, alias: str, file_id: str) -> Content:
        file = FileRecord.objects.using(alias).filter(pk=uuid.UUID(hex=file_id)).first()
        if file is None:
            raise LocalContentMissing(name=file_id, what="are not")
        opened = partial(open_content, alias, file)
        return Content(file_id, file.md5, file.file_size, file.file_name or file_id, file.mime_type, opened)


class ObservatorySource(ModelSource):
    """A kind whose search is the observatory's own."""

    kind: ClassVar[Kind]

    def __init__(self) -> None:
        super().__init__(self.kind.model, version="revision", order=(self.kind.time, "pk"))

    def check(self, search: dict[str, Any]) -> None:
        restriction(self.kind, search)

    def found(self, alias: str, configuration: ExportConfiguration) -> QuerySet[Any]:
        return self.versions(alias).filter(restriction(self.kind, configuration.search)).order_by(*self.order)

    def removed(self, alias: str, configuration: ExportConfiguration) -> QuerySet[Any]:
        """Tombstones of what this configuration sent, and of what went with it: statuses, and the files of events."""
        sent = ExportTask.objects.filter(configuration=configuration, entity=OuterRef("entity_id"), is_deletion=False)
        own = Q(Exists(sent), entity_type=self.kind.owner)
        brought = ["status", "file"] if self.kind is EVENTS else ["status"]
        with_it = Q(entity_type__in=brought, removed_at__gte=configuration.created_at)
        tombstones: QuerySet[Any] = Tombstone.objects.using(alias).filter(own | with_it)
        tombstones = tombstones.annotate(**{ENTITY: F("entity_id"), VERSION: F("id")})
        return tombstones.order_by("id")


class EventSource(ObservatorySource):
    """Events with their files."""

    kind = EVENTS
    wire = ObservatoryWire(EVENTS)


class FileSource(ObservatorySource):
    """Files by themselves."""

    kind = FILES
    wire = ObservatoryWire(FILES)


EVENT_TYPE, FILE_TYPE = Event._meta.label, FileRecord._meta.label
