"""Access keys and their users, without the hashes that stand for secrets. A key can be ended here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from audit.admin import ReadOnlyAdmin
from sync_api.models import AccessKey, SingleRecordUser


@admin.register(AccessKey)
class AccessKeyAdmin(ReadOnlyAdmin):
    list_display = ("id", "model", "group", "created_at", "created_by", "expires_at", "ended_at", "last_used_at")
    list_filter = ("model", "group", ("ended_at", admin.EmptyFieldListFilter))
    list_select_related = ("group",)
    search_fields = ("=id", "created_by", "model")
    fields = ("model", "identity", "group", "created_at", "created_by", "expires_at", "ended_at", "last_used_at")
    actions = ("end_keys",)

    @admin.action(description="End these access keys: their users cannot upload any more", permissions=["end"])
    def end_keys(self, request: HttpRequest, chosen: QuerySet[AccessKey]) -> None:
        ended = chosen.filter(ended_at=None).update(ended_at=timezone.now())
        self.message_user(request, f"{ended} access keys ended.", messages.SUCCESS)

    def has_end_permission(self, request: HttpRequest) -> bool:
        user: Any = request.user
        return bool(user.has_perm("sync_api.change_accesskey"))


@admin.register(SingleRecordUser)
class SingleRecordUserAdmin(ReadOnlyAdmin):
    list_display = ("user", "device", "access_key", "created_at", "password_set_at")
    list_filter = ("access_key__model",)
    list_select_related = ("user", "device", "access_key")
    search_fields = ("user__username", "device__name")
    fields = ("user", "device", "access_key", "created_at", "password_set_at")
