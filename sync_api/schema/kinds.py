"""Which raw form each column's values take in a payload. One name per form, the same on both storages."""

from __future__ import annotations

from typing import Any

from django.db import models

CONTENT_TYPE = "contenttypes.contenttype"

KINDS: tuple[tuple[tuple[type[models.Field[Any, Any]], ...], str], ...] = (
    ((models.BooleanField,), "boolean"),
    ((models.DurationField,), "duration"),
    ((models.DecimalField,), "decimal"),
    ((models.FloatField,), "float"),
    ((models.DateTimeField,), "datetime"),
    ((models.DateField,), "date"),
    ((models.TimeField,), "time"),
    ((models.BinaryField,), "binary"),
    ((models.JSONField,), "json"),
    ((models.UUIDField,), "uuid"),
    ((models.GenericIPAddressField, models.IPAddressField), "ip"),
    ((models.IntegerField, models.AutoField, models.BigAutoField, models.SmallAutoField), "integer"),
    ((models.CharField, models.TextField, models.FileField, models.FilePathField), "text"),
)
"""Field classes and their kind; the first match counts (DateTimeField is a DateField)."""


def target_column(field: models.Field[Any, Any]) -> models.Field[Any, Any]:
    """The column whose values `field` holds: for a relation the referred column, followed to its end."""
    column: Any = field
    while column.is_relation:
        column = column.target_field
    return column  # type: ignore[no-any-return]


def is_content_type(field: models.Field[Any, Any]) -> bool:
    """Whether `field` refers to a content type."""
    relation: Any = field.remote_field
    target = relation.model if field.is_relation else None
    return target is not None and not isinstance(target, str) and target._meta.label_lower == CONTENT_TYPE


def kind_of(field: models.Field[Any, Any], references: dict[str, tuple[str, ...]]) -> str | None:
    """The kind of `field`'s raw values; None for a field that capture cannot carry."""
    if field.name in references:
        return "reference"
    if is_content_type(field):
        return "contenttype"
    column: Any = target_column(field)
    if isinstance(column, models.GeneratedField):
        column = column.output_field
    for classes, kind in KINDS:
        if isinstance(column, classes):
            return kind
    return None
