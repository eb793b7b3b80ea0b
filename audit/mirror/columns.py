"""The columns every mirror has, and the plain copies of the source model's fields."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any, ClassVar, Self, cast

from django.db import models
from django.db.models.base import ModelState

from audit.fields import RowIdField
from audit.mirror.queryset import MirrorManager
from audit.models import Device

NOW = "NOW"
"""The era of records that are not preserved yet."""

ERA_LENGTH_MAX = 32
CONTENT_TYPE_LENGTH_MAX = 201

DROPPED = frozenset(
    {
        *("primary_key", "unique", "unique_for_date", "unique_for_month", "unique_for_year", "null", "blank"),
        *("auto_created", "auto_now", "auto_now_add", "choices", "default", "db_default", "validators"),
        *("db_comment", "db_index", "db_tablespace", "editable", "error_messages", "help_text", "serialize"),
        "verbose_name",
    }
)
"""Field options that a mirror does not take over: they would only change users' migrations."""


class MirrorRow(models.Model):
    """One version of one record of one device. Written by the engine only, never edited.

    Abstract, so that migrations of the users' apps do not name it.
    """

    mirror_pk = RowIdField(db_column="_pk", primary_key=True)
    mirror_device = models.ForeignKey(
        Device,
        models.DO_NOTHING,
        db_column="_device",
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    mirror_era = models.CharField(max_length=ERA_LENGTH_MAX, db_column="_era")
    mirror_current = models.BooleanField(db_column="_current")
    mirror_predecessor = models.BigIntegerField(null=True, db_column="_predecessor")
    mirror_successor = models.BigIntegerField(null=True, db_column="_successor")
    mirror_added_at = models.DateTimeField(db_column="_when_added")
    mirror_removed_at = models.DateTimeField(null=True, db_column="_when_removed")
    mirror_captured_at = models.DateTimeField(db_column="_when_added_captured")
    mirror_removed_captured_at = models.DateTimeField(null=True, db_column="_when_removed_captured")
    mirror_utc_offset = models.SmallIntegerField(null=True, db_column="_utc_offset")
    mirror_captured_by = models.TextField(null=True, db_column="_captured_by")
    mirror_captured_reason = models.TextField(null=True, db_column="_captured_reason")
    mirror_captured_on = models.TextField(null=True, db_column="_captured_on")
    mirror_removed_captured_by = models.TextField(null=True, db_column="_removed_captured_by")
    mirror_removed_captured_reason = models.TextField(null=True, db_column="_removed_captured_reason")
    mirror_removed_captured_on = models.TextField(null=True, db_column="_removed_captured_on")
    mirror_added_by = models.TextField(null=True, db_column="_added_by")
    mirror_removed_by = models.TextField(null=True, db_column="_removed_by")
    mirror_preserved_by = models.TextField(null=True, db_column="_preserved_by")
    mirror_forcibly_preserved = models.BooleanField(null=True, db_column="_forcibly_preserved")
    mirror_erased = models.BooleanField(null=True, db_column="_erased")
    mirror_erased_at = models.DateTimeField(null=True, db_column="_erased_at")
    mirror_erased_by = models.TextField(null=True, db_column="_erased_by")
    mirror_erased_reason = models.TextField(null=True, db_column="_erased_reason")
    mirror_app_version = models.TextField(null=True, db_column="_app_version")
    mirror_source = models.BigIntegerField(null=True, db_column="_source")

    objects = MirrorManager()
    mirror_of: ClassVar[type[models.Model]]

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self._meta.object_name} {self.mirror_pk}"

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **options: Any) -> Self:
        """A row as read: as Model.from_db, without the signals and the call per field, a third of its time."""
        names = loaded_names(cls)
        if options or len(values) != len(names):
            return super().from_db(db, field_names, values, **options)
        row = cls.__new__(cls)
        state = ModelState()
        state.adding, state.db = False, db
        row.__dict__.update(zip(names, values, strict=True), _state=state)
        return row


@cache
def loaded_names(mirror: type[MirrorRow]) -> tuple[str, ...]:
    """The attributes of a row without deferred fields, in the order in which they are read."""
    return tuple(field.attname for field in mirror._meta.concrete_fields)


OWN_COLUMNS = frozenset(field.column for field in MirrorRow._meta.local_fields)


def mirrored_fields(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    """The source fields that a mirror holds: the model's own columns (a child's parent link included)."""
    return list(model._meta.local_concrete_fields)


def plain_field(field: models.Field[Any, Any], *, references: Collection[str], key: bool) -> models.Field[Any, Any]:
    """A copy of `field` that holds its value and nothing else: nullable (but the key), and unlinked."""
    plain = text_of_reference(field) if field.name in references else plain_value(field)
    plain.null = not key
    if plain.db_column is None and field.column != field.name:
        plain.db_column = field.column
    return plain


def is_content_type(field: models.Field[Any, Any]) -> bool:
    """Whether `field` refers to a content type, which travels as `app_label.model`."""
    remote: Any = field.remote_field
    return field.is_relation and bool(remote.model._meta.label_lower == "contenttypes.contenttype")


def text_of_reference(field: models.Field[Any, Any]) -> models.Field[Any, Any]:
    return models.TextField(db_column=field.column if field.column != field.name else None)


def plain_value(field: models.Field[Any, Any]) -> models.Field[Any, Any]:
    """The column of `field`'s value: relations as their target's key, counters as integers, files as text."""
    if field.is_relation:
        target = field.target_field  # type: ignore[attr-defined]
        if is_content_type(field):
            return models.CharField(max_length=CONTENT_TYPE_LENGTH_MAX)
        plain = plain_value(target)
        plain.db_column = None
        return plain
    if isinstance(field, models.GeneratedField):
        assert field.output_field is not None, "resolved when its model is complete"
        return plain_value(field.output_field)
    for counters, integer in INTEGERS:
        if isinstance(field, counters):
            return integer()
    if isinstance(field, models.FileField):
        return models.CharField(max_length=field.max_length)
    _, _, args, kwargs = field.deconstruct()
    kept = {name: value for name, value in kwargs.items() if name not in DROPPED}
    kept.pop("db_column", None)
    copy: Any = type(field)(*args, **kept)
    copy.db_index = False
    return cast("models.Field[Any, Any]", copy)


INTEGERS: tuple[tuple[tuple[type[models.Field[Any, Any]], ...], type[models.Field[Any, Any]]], ...] = (
    ((models.BigAutoField, models.PositiveBigIntegerField), models.BigIntegerField),
    ((models.SmallAutoField, models.PositiveSmallIntegerField), models.SmallIntegerField),
    ((models.AutoField, models.PositiveIntegerField), models.IntegerField),
)
"""Counters and checked integers become plain ones: a mirror neither counts nor refuses."""
