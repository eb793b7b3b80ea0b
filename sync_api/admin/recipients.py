"""To whom payloads are sealed from here."""

from __future__ import annotations

from django.contrib import admin

from audit.admin import ReadOnlyAdmin
from sync_api.models import Recipient


@admin.register(Recipient)
class RecipientAdmin(ReadOnlyAdmin):
    list_display = ("name", "key_id", "added_at", "added_by", "retired_at")
    list_filter = (("retired_at", admin.EmptyFieldListFilter), "name")
    search_fields = ("name", "key_id", "public_key")
