"""What was captured here, and the sealed batches that carry it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from audit.admin import ReadOnlyAdmin
from sync_api.admin.decoded import payload_table
from sync_api.admin.filters import SyncedModelFilter
from sync_api.models import OutgoingBatch, OutgoingTransaction


@admin.register(OutgoingTransaction)
class OutgoingTransactionAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "captured_at",
        "action",
        "tx_name",
        "user",
        "reason",
        "batch_number",
        "is_consumed_middleman",
        "is_consumed_server",
        "tx_pk",
        "unit",
    )
    list_filter = (SyncedModelFilter, "action", "is_consumed_server", "is_consumed_middleman", "is_baseline")
    search_fields = ("tx_pk__exact", "tx_name__exact", "user__exact")
    search_help_text = "A record's key, a model's label or a user, each exactly."
    ordering = ("-id",)
    fields = (
        "action",
        "tx_name",
        "tx_pk",
        "previous_pk",
        "decoded",
        "user",
        "reason",
        "captured_at",
        "utc_offset",
        "device",
        "producer",
        "unit",
        "schema",
        "is_baseline",
        "batch_epoch",
        "batch_number",
        "is_consumed_middleman",
        "is_consumed_server",
    )
    readonly_fields = ("decoded",)

    @admin.display(description="row")
    def decoded(self, transaction: OutgoingTransaction) -> SafeString | str:
        schema = transaction.schema
        return payload_table(schema.description, transaction.payload, schema.storage)


@admin.register(OutgoingBatch)
class OutgoingBatchAdmin(ReadOnlyAdmin):
    list_display = ("number", "device", "short_hash", "units", "lines", "size", "sealed_at", "receipt_kinds")
    list_filter = ("device",)
    list_select_related = ("device",)
    search_fields = ("hash", "number__exact")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("content")

    @admin.display(description="hash", ordering="hash")
    def short_hash(self, batch: OutgoingBatch) -> str:
        return batch.hash[:12]

    @admin.display(description="receipts")
    def receipt_kinds(self, batch: OutgoingBatch) -> str:
        return ", ".join(sorted(batch.receipts)) or "-"
