"""The record index: one row per current record of each model that asks for it."""

from __future__ import annotations

from django.db import models

from audit.fields import RowIdField
from audit.models.devices import Device

TEXT_LENGTH_MAX = 200
"""Longer identifiers are cut: PostgreSQL refuses to index a long text."""


class IndexEntry(models.Model):
    """One current record: where it stands in the mirror, and what it is known by. Written by `audit.index` alone."""

    id = RowIdField(primary_key=True)
    model = models.CharField(max_length=201, help_text="app_label.model of the source model.")
    mirror_pk = models.BigIntegerField(help_text="`_pk` of the record's current version.")
    device = models.ForeignKey(Device, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    era = models.CharField(max_length=32)
    key = models.TextField(help_text="The record's key on its device, as text.")
    text = models.CharField(max_length=TEXT_LENGTH_MAX, help_text="Its identifiers, one after the other.")
    folded = models.CharField(max_length=TEXT_LENGTH_MAX, help_text="The same in lower case, for searching.")
    parent_key = models.TextField(null=True, help_text="Key of the registered parent record.")
    parent_pk = models.BigIntegerField(null=True, help_text="`_pk` of the parent's current version, where it is here.")
    parent_text = models.CharField(max_length=TEXT_LENGTH_MAX, null=True, help_text="The parent's identifiers.")
    parent_folded = models.CharField(max_length=TEXT_LENGTH_MAX, null=True)

    class Meta:
        verbose_name_plural = "record index"
        constraints = [models.UniqueConstraint(fields=["model", "mirror_pk"], name="audit_index_unique")]
        indexes = [
            models.Index(fields=["folded"], name="audit_index_text", opclasses=["varchar_pattern_ops"]),
            models.Index(fields=["parent_folded"], name="audit_index_parent", opclasses=["varchar_pattern_ops"]),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.text}"
