"""Triggers as data: what must stand in the database, compared with what does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import models

from sync_api.schema import ModelSchema, references_of

PREFIX = "syncserver"


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger (and on PostgreSQL its function): its table, name and the SQL that makes it."""

    table: str
    name: str
    create: tuple[str, ...]
    body: str
    """What the database keeps verbatim and is compared: the CREATE TRIGGER text (SQLite), the function's body."""


@dataclass(frozen=True, slots=True)
class Captured:
    """One synced model as the triggers see it: schema, id of its CaptureSchema row, reason policy."""

    schema: ModelSchema
    schema_id: int

    @property
    def model(self) -> type[models.Model]:
        return self.schema.model

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    @property
    def policy(self) -> str:
        return str(getattr(self.model, "sync_reason", "optional"))

    def field(self, name: str) -> models.Field[Any, Any]:
        return self.model._meta.get_field(name)  # type: ignore[return-value]

    def column(self, name: str) -> str:
        return str(self.field(name).column)

    def natural_key_columns(self, name: str) -> tuple[str, str, list[str]]:
        """For a reference: the referred table, its referred column, and the natural key's columns."""
        field: Any = self.field(name)
        target: Any = field.remote_field.model
        columns = [target._meta.get_field(part).column for part in references_of(self.model)[name]]
        return target._meta.db_table, field.target_field.column, columns


def literal(text: str) -> str:
    """An SQL string literal. For names from model definitions only, never for values from outside."""
    return "'" + text.replace("'", "''") + "'"
