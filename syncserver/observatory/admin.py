"""The observatory to look at. Records come from cameras and imports, and are not edited by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin

from audit.admin import ReadOnlyAdmin
from syncserver.observatory.models import Camera, CameraStatus, Event, EventMeta, FileMeta, FileRecord, Tombstone

if TYPE_CHECKING:
    Inline = admin.TabularInline[Any, Any]
else:
    Inline = admin.TabularInline


class ReadOnlyInline(Inline):
    extra = 0
    max_num = 0
    can_delete = False
    fields = readonly_fields = ("key", "kind", "string_value", "number_value", "date_value")


class EventMetaInline(ReadOnlyInline):
    model = EventMeta


class FileMetaInline(ReadOnlyInline):
    model = FileMeta


@admin.register(Camera)
class CameraAdmin(ReadOnlyAdmin):
    list_display = ("camera_id", "high_water_mark")
    search_fields = ("camera_id",)


@admin.register(CameraStatus)
class CameraStatusAdmin(ReadOnlyAdmin):
    list_display = ("status_id", "camera", "valid_from", "lens", "sensor", "inst_name", "imported_by")
    list_filter = ("camera",)
    list_select_related = ("camera",)


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("event_id", "camera", "event_time", "event_type", "imported_by")
    list_filter = ("camera", "event_type")
    list_select_related = ("camera",)
    inlines = (EventMetaInline,)


@admin.register(FileRecord)
class FileRecordAdmin(ReadOnlyAdmin):
    list_display = ("file_id", "camera", "file_time", "semantic_type", "mime_type", "file_size", "imported_by")
    list_filter = ("camera", "semantic_type", "mime_type")
    list_select_related = ("camera",)
    search_fields = ("md5", "sha256")
    inlines = (FileMetaInline,)


@admin.register(Tombstone)
class TombstoneAdmin(ReadOnlyAdmin):
    list_display = ("id", "entity_type", "entity_id", "removed_at")
    list_filter = ("entity_type",)
