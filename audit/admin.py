"""Looking, not touching: devices, sources, commits, every mirror. Corrections go through `audit.correct`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit.mirror.columns import MirrorRow
from audit.mirror.tables import MirrorTable, mirror_tables
from audit.models import CommitClock, Device, IndexEntry, Source, TableChanges
from audit.presenting import presented

if TYPE_CHECKING:
    AnyAdmin = admin.ModelAdmin[Any]
else:
    AnyAdmin = admin.ModelAdmin

FIELDS_IN_LIST_MAX = 5
KEYS_SHOWN_MAX = 20


class ReadOnlyAdmin(AnyAdmin):
    """Shows everything and changes nothing, whatever the user's permissions."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Device)
class DeviceAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        "friendly_name",
        "role",
        "kind",
        "group",
        "known_until",
        "last_seen_at",
        "app_version",
        "revoked_at",
    )
    list_filter = ("role", "kind", "group", ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("group",)
    search_fields = ("name", "friendly_name", "registered_by")


@admin.register(Source)
class SourceAdmin(ReadOnlyAdmin):
    list_display = ("id", "device", "kind", "reference", "app_version", "created_at")
    list_filter = ("kind", "device")
    list_select_related = ("device",)
    search_fields = ("reference", "device__name")
    ordering = ("-id",)


@admin.register(TableChanges)
class TableChangesAdmin(ReadOnlyAdmin):
    list_display = (
        "committed_at",
        "device",
        "model",
        "added",
        "modified",
        "identical",
        "deleted",
        "preserved",
        "erased",
        "code",
        "committed_by",
        "line",
    )
    list_filter = ("device", "model", "committed_by", ("code", admin.EmptyFieldListFilter))
    list_select_related = ("device",)
    search_fields = ("model", "device__name", "source__reference", "committed_by")

    @admin.display(description="what changed")
    def line(self, changes: TableChanges) -> str:
        return changes.line(keys_max=KEYS_SHOWN_MAX)


@admin.register(IndexEntry)
class IndexEntryAdmin(ReadOnlyAdmin):
    list_display = ("text", "parent_text", "model", "device", "era", "key", "mirror_pk")
    list_filter = ("model", "device")
    list_select_related = ("device",)
    search_fields = ("text__istartswith", "parent_text__istartswith", "key__exact")


@admin.register(CommitClock)
class CommitClockAdmin(ReadOnlyAdmin):
    list_display = ("committed_at", "asked_until")


class MirrorAdmin(ReadOnlyAdmin):
    """Versions of one model's records: content first, then who, when and why, then the versions beside it."""

    list_select_related = ("mirror_device",)
    ordering = ("-mirror_pk",)
    table: MirrorTable

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        fields = [name for name in self.table.columns if name != self.table.key][:FIELDS_IN_LIST_MAX]
        return [
            "mirror_pk",
            self.table.key,
            *map(self.shown, fields),
            "mirror_device",
            "mirror_era",
            "mirror_current",
            "mirror_captured_at",
            "mirror_captured_by",
            "mirror_captured_reason",
        ]

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return ["mirror_current", "mirror_device", ("mirror_removed_at", admin.EmptyFieldListFilter)]

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """The key exactly, short texts by their begin, and who changed it."""
        texts = [
            f"{name}__istartswith"
            for name in self.table.columns
            if name != self.table.key and isinstance(self.opts.get_field(name), models.CharField)
        ]
        return [f"{self.table.key}__exact", *texts, "mirror_captured_by__exact"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[tuple[Any, Any]]:
        own = [field.name for field in MirrorRow._meta.local_fields]
        links = {"mirror_predecessor": "earlier", "mirror_successor": "later", "mirror_source": "source"}
        return [
            (None, {"fields": list(map(self.shown, self.table.columns))}),
            ("Version", {"fields": [links.get(name, name) for name in own]}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        names = [field.name for field in self.opts.concrete_fields]
        shown = [found for name in self.table.columns if callable(found := self.shown(name))]
        return [*names, *shown, "earlier", "later", "source"]

    def shown(self, name: str) -> Any:
        """The column by its name, or the function that shows it (see `audit.presenting`)."""
        return presented(self.table, name) or name

    @admin.display(description="predecessor")
    def earlier(self, row: MirrorRow) -> SafeString | str:
        return self.link(self.opts, row.mirror_predecessor)

    @admin.display(description="successor")
    def later(self, row: MirrorRow) -> SafeString | str:
        return self.link(self.opts, row.mirror_successor)

    @admin.display(description="source")
    def source(self, row: MirrorRow) -> SafeString | str:
        return self.link(Source._meta, row.mirror_source)

    def link(self, opts: Any, pk: int | None) -> SafeString | str:
        if pk is None:
            return "-"
        url = reverse(f"{self.admin_site.name}:{opts.app_label}_{opts.model_name}_change", args=[pk])
        return format_html('<a href="{}">{}</a>', url, pk)


def register_mirrors(site: admin.AdminSite) -> None:
    """Register every mirror that has no admin of its own on `site` yet."""
    for table in mirror_tables():
        if not site.is_registered(table.mirror):
            name = f"{table.mirror.__name__}Admin"
            site.register(table.mirror, type(name, (MirrorAdmin,), {"table": table}))


register_mirrors(admin.site)
