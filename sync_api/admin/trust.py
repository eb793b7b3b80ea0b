"""Whom this installation believes, what it was told, and who visits. Pins are changed by `trust_server` alone."""

from __future__ import annotations

from django.contrib import admin

from audit.admin import ReadOnlyAdmin
from sync_api.models import Statement, TrustedServer, UsedNonce, Visit


@admin.register(TrustedServer)
class TrustedServerAdmin(ReadOnlyAdmin):
    list_display = ("name", "public_key", "is_active", "pinned_at", "pinned_by")
    list_filter = ("is_active",)
    search_fields = ("name", "public_key")


@admin.register(Statement)
class StatementAdmin(ReadOnlyAdmin):
    list_display = ("kind", "device", "signer", "number", "via", "received_at")
    list_filter = ("kind", "signer", "received_at")
    search_fields = ("device", "signer", "epoch")


@admin.register(Visit)
class VisitAdmin(ReadOnlyAdmin):
    list_display = ("device", "role", "began_at", "ends_at")
    list_filter = ("role",)
    search_fields = ("device",)
    fields = ("device", "role", "public_key", "certificate", "began_at", "ends_at")


@admin.register(UsedNonce)
class UsedNonceAdmin(ReadOnlyAdmin):
    list_display = ("digest", "public_key", "ends_at")
    list_filter = ("ends_at",)
    search_fields = ("digest", "public_key")
