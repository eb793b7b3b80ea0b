"""List filters that need no scan of a large table."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from sync_api.schema import synced_models


class SyncedModelFilter(admin.SimpleListFilter):
    """By model, from the list of synced models rather than from the rows."""

    title = "model"
    parameter_name = "tx_name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(model._meta.label_lower, model._meta.label) for model in synced_models()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(tx_name=self.value()) if self.value() else queryset
