"""What arrived: epochs, batches, transactions, and the alarms they raised."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from audit.admin import ReadOnlyAdmin
from sync_api.admin.decoded import payload_table
from sync_api.admin.filters import SyncedModelFilter
from sync_api.models import Alarm, IncomingBatch, IncomingEpoch, IncomingTransaction


@admin.register(IncomingEpoch)
class IncomingEpochAdmin(ReadOnlyAdmin):
    list_display = (
        "device",
        "ordinal",
        "epoch",
        "head_number",
        "consumed_number",
        "sequence",
        "is_opened",
        "created_at",
    )
    list_filter = ("device",)
    list_select_related = ("device",)
    search_fields = ("device__name", "epoch")


@admin.register(IncomingBatch)
class IncomingBatchAdmin(ReadOnlyAdmin):
    list_display = (
        "number",
        "device",
        "state",
        "short_hash",
        "lines",
        "size",
        "received_at",
        "received_from",
        "consumed_at",
    )
    list_filter = ("state", "epoch__device")
    search_fields = ("hash", "epoch__device__name", "received_from")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        batches = super().get_queryset(request).select_related("epoch__device").defer("content")
        match = request.resolver_match
        is_list = match is not None and str(match.url_name).endswith("_changelist")
        return batches.defer("content", "header") if is_list else batches

    @admin.display(ordering="epoch__device")
    def device(self, batch: IncomingBatch) -> str:
        return batch.epoch.device.name

    @admin.display(description="hash", ordering="hash")
    def short_hash(self, batch: IncomingBatch) -> str:
        return batch.hash[:12]


def decoded_row(transaction: IncomingTransaction, header: dict[str, Any]) -> SafeString | str:
    """The transaction's row by its batch's own description of the model."""
    described = header.get("models", [])
    index = transaction.model_index
    description = described[index] if index < len(described) else None
    return payload_table(description, transaction.payload, str(header.get("storage", "")))


@admin.register(IncomingTransaction)
class IncomingTransactionAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "device",
        "effective_at",
        "action",
        "tx_name",
        "user",
        "reason",
        "is_consumed",
        "is_error",
        "is_ignored",
        "tx_pk",
        "unit",
    )
    list_filter = (
        SyncedModelFilter,
        "action",
        "is_consumed",
        "is_error",
        "is_ignored",
        "is_baseline",
        "batch__epoch__device",
    )
    search_fields = ("tx_pk__exact", "tx_name__exact", "user__exact")
    search_help_text = "A record's key, a model's label or a user, each exactly."
    ordering = ("-id",)
    fields = (
        "device",
        "batch",
        "unit",
        "sequence",
        "action",
        "tx_name",
        "tx_pk",
        "previous_pk",
        "decoded",
        "user",
        "reason",
        "captured_at",
        "effective_at",
        "utc_offset",
        "producer",
        "is_baseline",
        "is_consumed",
        "consumed_at",
        "is_ignored",
        "is_error",
        "error",
    )
    readonly_fields = ("device", "decoded")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        transactions = super().get_queryset(request).select_related("batch__epoch__device")
        return transactions.defer("batch__content", "batch__header")

    @admin.display(ordering="batch__epoch__device")
    def device(self, transaction: IncomingTransaction) -> str:
        return transaction.batch.epoch.device.name

    @admin.display(description="row")
    def decoded(self, transaction: IncomingTransaction) -> SafeString | str:
        return decoded_row(transaction, transaction.batch.header)


@admin.register(Alarm)
class AlarmAdmin(ReadOnlyAdmin):
    list_display = (
        "code",
        "device",
        "text",
        "times",
        "raised_at",
        "last_raised_at",
        "resolved_at",
        "resolved_by",
    )
    list_filter = (("resolved_at", admin.EmptyFieldListFilter), "code", "device")
    list_select_related = ("device",)
    search_fields = ("code", "text", "device__name")
    actions = ("resolve",)

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sync_api.change_alarm")

    @admin.action(description="Mark the chosen alarms as resolved", permissions=["resolve"])
    def resolve(self, request: HttpRequest, alarms: QuerySet[Alarm]) -> None:
        """Only open ones are marked, so that the first operator's name stays."""
        resolved = alarms.filter(resolved_at=None).update(
            resolved_at=timezone.now(), resolved_by=request.user.get_username()
        )
        self.message_user(request, f"{resolved} alarms resolved.", messages.SUCCESS)
