"""Finalizing on a device, and the eras of devices on a server."""

from __future__ import annotations

from django.contrib import admin

from audit.admin import ReadOnlyAdmin
from sync_api.models import Finalization, IncomingEra


@admin.register(Finalization)
class FinalizationAdmin(ReadOnlyAdmin):
    list_display = ("device", "era_ordinal", "state", "is_partial", "marked_at", "marked_by", "wiped_at")
    list_filter = ("state", "is_partial")
    list_select_related = ("device",)
    search_fields = ("device__name", "mark_id", "marked_by")


@admin.register(IncomingEra)
class IncomingEraAdmin(ReadOnlyAdmin):
    list_display = ("epoch", "ordinal", "era", "mark_id", "ended_at")
    list_select_related = ("epoch__device",)
    search_fields = ("epoch__device__name", "mark_id", "era")
