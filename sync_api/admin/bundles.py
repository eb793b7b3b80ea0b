"""The history of bundles, both ways."""

from __future__ import annotations

from django.contrib import admin

from audit.admin import ReadOnlyAdmin
from sync_api.models import Bundle

HIDDEN_UNTIL_CONFIRMED = "known to the importer"


@admin.register(Bundle)
class BundleAdmin(ReadOnlyAdmin):
    """The code of an exported file is shown once it was confirmed: until then the importer is to say it."""

    list_display = ("at", "direction", "name", "exporter", "part", "batches", "size", "state", "code", "confirmed_at")
    list_filter = ("direction", "state", "code", "exporter")
    search_fields = ("name", "bundle_id__exact", "sha256__exact", "confirmation__exact")
    ordering = ("-at",)
    exclude = ("confirmation",)
    readonly_fields = ("spoken_code",)

    @admin.display(description="piece")
    def part(self, bundle: Bundle) -> str:
        return f"{bundle.piece} of {bundle.pieces}"

    @admin.display(description="confirmation code")
    def spoken_code(self, bundle: Bundle) -> str:
        waits = bundle.direction == Bundle.Direction.EXPORTED and bundle.confirmed_at is None
        return HIDDEN_UNTIL_CONFIRMED if waits and bundle.confirmation else bundle.confirmation or "-"
