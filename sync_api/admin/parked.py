"""Units that could not be applied: what happened, to which row, and what to do next."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from audit.admin import ReadOnlyAdmin
from sync_api.admin.incoming import decoded_row
from sync_api.deserializer.retry import retry_parked
from sync_api.exceptions import ParkedUnitUnknown
from sync_api.models import IncomingTransaction, ParkedRecord, ParkedUnit

LINES_SHOWN_MAX = 50


@admin.register(ParkedUnit)
class ParkedUnitAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "device",
        "state",
        "code",
        "tx_name",
        "tx_pk",
        "field",
        "next_step",
        "attempts",
        "parked_at",
        "blocked_by_id",
    )
    list_filter = ("state", "code", "device")
    search_fields = ("tx_pk__exact", "tx_name__exact", "code", "device__name")
    ordering = ("-id",)
    actions = ("retry",)
    fields = (
        "device",
        "state",
        "code",
        "text",
        "next_step",
        "rows",
        "tx_name",
        "tx_pk",
        "field",
        "batch",
        "unit",
        "blocked_by",
        "attempts",
        "parked_at",
        "last_tried_at",
        "ended_at",
        "ignored_by",
        "ignored_reason",
    )
    readonly_fields = ("rows",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        units = super().get_queryset(request).select_related("device", "batch", "blocked_by")
        return units.defer("batch__content", "batch__header")

    @admin.display(description="what was received")
    def rows(self, unit: ParkedUnit) -> SafeString:
        """The unit's transactions, decoded; of a large unit the first ones."""
        header = unit.batch.header
        lines = IncomingTransaction.objects.using(unit._state.db).filter(batch=unit.batch_id, unit=unit.unit)
        shown = [
            (line.get_action_display(), line.tx_name, line.tx_pk, decoded_row(line, header))
            for line in lines.order_by("id")[:LINES_SHOWN_MAX]
        ]
        return format_html("<div>{}</div>", format_html_join("", "<p>{} <b>{}</b> {}</p>{}", shown))

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sync_api.change_parkedunit")

    @admin.action(description="Try the chosen units' devices again", permissions=["retry"])
    def retry(self, request: HttpRequest, units: QuerySet[ParkedUnit]) -> None:
        """Once per device; units behind the chosen ones are tried with them."""
        parked = units.filter(state=ParkedUnit.State.PARKED).order_by("id")
        heads = {unit.device_id: unit.pk for unit in parked.defer("batch")}
        released = still = 0
        for pk in heads.values():
            try:
                reports = retry_parked(units.db, pk, committed_by=request.user.get_username())
            except ParkedUnitUnknown:  # released or ignored by somebody else meanwhile
                continue
            released += sum(report.released for report in reports)
            still += sum(report.parked_open for report in reports)
        self.message_user(request, f"{released} units applied, {still} still parked.", messages.SUCCESS)


@admin.register(ParkedRecord)
class ParkedRecordAdmin(ReadOnlyAdmin):
    list_display = ("tx_name", "tx_pk", "parked_unit_id")
    list_filter = (("parked_unit__device", admin.RelatedOnlyFieldListFilter),)
    search_fields = ("tx_pk__exact", "tx_name__exact")
    ordering = ("-id",)
