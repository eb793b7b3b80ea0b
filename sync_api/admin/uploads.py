"""Uploads of tables: who sent which, what became of it. What is staged is shown by its size only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from audit.admin import ReadOnlyAdmin
from sync_api.models import Upload, UploadedOffset, UploadStep


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    list_display = ("id", "device", "user", "state", "code", "is_one_step", "is_preserving", "started_at", "ended_at")
    list_filter = ("state", "code", "is_preserving", "device")
    list_select_related = ("device",)
    search_fields = ("device__name", "user", "key__exact", "code")
    date_hierarchy = "started_at"


@admin.register(UploadStep)
class UploadStepAdmin(ReadOnlyAdmin):
    list_display = ("id", "upload", "operation", "key", "taken_at")
    list_filter = ("operation",)
    search_fields = ("upload__device__name", "operation", "key__exact")
    exclude = ("content",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("upload").defer("content")


@admin.register(UploadedOffset)
class UploadedOffsetAdmin(ReadOnlyAdmin):
    list_display = ("id", "upload", "table", "field", "utc_offset")
    list_select_related = ("upload",)
    search_fields = ("table", "field", "upload__device__name")
