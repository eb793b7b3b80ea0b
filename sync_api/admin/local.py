"""This installation itself, and the forms in which its models travel."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from audit.admin import ReadOnlyAdmin
from sync_api.admin.decoded import schema_table
from sync_api.models import CaptureSchema, LocalDevice


@admin.register(LocalDevice)
class LocalDeviceAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        "role",
        "server_name",
        "head_number",
        "acknowledged_number",
        "applied_number",
        "sequence",
        "started_at",
        "enrolled_at",
    )
    list_filter = ("role",)
    search_fields = ("name", "epoch", "server_name")
    readonly_fields = ("server_url",)


@admin.register(CaptureSchema)
class CaptureSchemaAdmin(ReadOnlyAdmin):
    list_display = ("tx_name", "storage", "short_fingerprint", "created_at")
    list_filter = ("storage",)
    search_fields = ("tx_name", "fingerprint")
    fields = ("tx_name", "storage", "fingerprint", "columns", "created_at")
    readonly_fields = ("columns",)

    @admin.display(description="fingerprint", ordering="fingerprint")
    def short_fingerprint(self, schema: CaptureSchema) -> str:
        return schema.fingerprint[:12]

    @admin.display(description="columns, in payload order")
    def columns(self, schema: CaptureSchema) -> SafeString:
        return schema_table(schema.description)
