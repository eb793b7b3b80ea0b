"""What this installation carries for others."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from audit.admin import ReadOnlyAdmin
from sync_api.models import CarriedBatch


@admin.register(CarriedBatch)
class CarriedBatchAdmin(ReadOnlyAdmin):
    list_display = (
        *("device", "number", "state", "refusal", "lines", "size", "received_from", "received_via", "received_at"),
        *("handed_to", "handed_at", "waits_for", "short_hash"),
    )
    list_filter = ("state", "device", "received_from", "handed_to")
    search_fields = ("device", "hash", "received_from", "handed_to")
    exclude = ("content",)
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("content")

    @admin.display(description="hash", ordering="hash")
    def short_hash(self, batch: CarriedBatch) -> str:
        return batch.hash[:12]
