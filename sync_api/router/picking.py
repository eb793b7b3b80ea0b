"""What a caller's queryset picks."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet


def is_narrowed(queryset: QuerySet[Any]) -> bool:
    return bool(queryset.query.where) or queryset.query.is_sliced


def picked_by(queryset: QuerySet[Any]) -> QuerySet[Any]:
    """The keys it picks, for use inside a condition."""
    return (queryset if queryset.query.is_sliced else queryset.order_by()).values("pk")
