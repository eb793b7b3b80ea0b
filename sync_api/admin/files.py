"""Files: what is here, what devices told, and what is on its way."""

from __future__ import annotations

from django.contrib import admin

from audit.admin import ReadOnlyAdmin
from sync_api.models import Content, ContentUse, FileDelivery, FileFact, FileUpload, StoredName


@admin.register(Content)
class ContentAdmin(ReadOnlyAdmin):
    list_display = ("sha256", "size", "held_at", "damaged_at", "touched_at")
    list_filter = (("held_at", admin.EmptyFieldListFilter), ("damaged_at", admin.EmptyFieldListFilter))
    search_fields = ("sha256", "md5")


@admin.register(ContentUse)
class ContentUseAdmin(ReadOnlyAdmin):
    list_display = ("sha256", "user", "key")
    list_filter = ("user",)
    search_fields = ("sha256", "key")


@admin.register(FileFact)
class FileFactAdmin(ReadOnlyAdmin):
    list_display = (
        *("device", "label", "field", "number", "short_hash", "size", "media_type", "is_sealed", "known_at"),
    )
    list_filter = ("label", "is_sealed", "device")
    search_fields = ("sha256", "name_digest", "device")

    @admin.display(description="content", ordering="sha256", empty_value="unknown")
    def short_hash(self, fact: FileFact) -> str | None:
        return fact.sha256[:12] or None


@admin.register(FileDelivery)
class FileDeliveryAdmin(ReadOnlyAdmin):
    list_display = ("sha256", "peer", "told_at")
    list_filter = ("peer",)
    search_fields = ("sha256", "peer")


@admin.register(StoredName)
class StoredNameAdmin(ReadOnlyAdmin):
    list_display = ("name", "size", "media_type", "stored_at", "removed_at", "released_at")
    list_filter = (("removed_at", admin.EmptyFieldListFilter), "media_type")
    search_fields = ("name", "sha256")


@admin.register(FileUpload)
class FileUploadAdmin(ReadOnlyAdmin):
    list_display = ("id", "brought_by", "state", "code", "size", "began_at", "expires_at")
    list_filter = ("state", "brought_by")
    search_fields = ("id", "sha256", "brought_by")
