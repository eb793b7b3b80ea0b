"""Reading the mirror."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db import models

Row = TypeVar("Row", bound=models.Model, covariant=True)


class MirrorQuerySet(models.QuerySet[Any]):
    """Versions of records."""


MirrorManager = models.Manager.from_queryset(MirrorQuerySet)
