"""Codes and credentials, without the hashes that stand for secrets."""

from __future__ import annotations

from django.contrib import admin

from audit.admin import ReadOnlyAdmin
from sync_api.models import DeviceCredential, EnrolmentCode


@admin.register(EnrolmentCode)
class EnrolmentCodeAdmin(ReadOnlyAdmin):
    list_display = ("device", "created_at", "created_by", "expires_at", "used_at")
    list_filter = (("used_at", admin.EmptyFieldListFilter), "expires_at")
    list_select_related = ("device",)
    search_fields = ("device__name", "created_by")
    fields = ("device", "created_at", "created_by", "expires_at", "used_at", "used_by_key")


@admin.register(DeviceCredential)
class DeviceCredentialAdmin(ReadOnlyAdmin):
    list_display = ("device", "short_key", "enrolled_at", "revoked_at", "revoked_reason")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("device",)
    search_fields = ("device__name", "public_key")
    fields = (
        "device",
        "public_key",
        "certificate",
        "enrolled_at",
        "revoked_at",
        "revoked_reason",
        "revoked_after",
    )

    @admin.display(description="public key", ordering="public_key")
    def short_key(self, credential: DeviceCredential) -> str:
        return credential.public_key[:12]
