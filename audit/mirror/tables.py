"""What the engine knows of one mirror table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import models

from audit.exceptions import NotMirrored
from audit.mirror.columns import MirrorRow, mirrored_fields


@dataclass(frozen=True, slots=True, eq=False)
class MirrorTable:
    """One source model and its mirror. There is one object per model, compared by identity.

    `columns` are the source's field names in their order, the key included; `db_columns` the same as the
    database names them.
    """

    source: type[models.Model]
    mirror: type[MirrorRow]
    label: str
    key: str
    columns: tuple[str, ...]
    db_columns: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.mirror._meta.db_table

    @property
    def key_column(self) -> str:
        return self.db_columns[self.columns.index(self.key)]

    def canonical_key(self, value: object) -> int | str:
        """A key as the engine compares it: an int, or text (a UUID as 32 hex digits)."""
        field = self.mirror._meta.get_field(self.key)
        assert isinstance(field, models.Field)
        key = field.to_python(value)
        if isinstance(key, UUID):
            return key.hex
        return key if isinstance(key, int) else str(key)

    def __repr__(self) -> str:
        return f"<MirrorTable {self.label}>"


@cache
def table_for(source: type[models.Model]) -> MirrorTable:
    """The mirror table of a model (a proxy's is its concrete model's). NotMirrored if it has none."""
    concrete = source._meta.concrete_model
    assert concrete is not None
    mirror: Any = vars(concrete._meta).get("mirror_model")
    if mirror is None:
        raise NotMirrored(label=source._meta.label)
    if concrete is not source:
        return table_for(concrete)
    fields = mirrored_fields(source)
    key = source._meta.pk
    assert key is not None
    return MirrorTable(
        source=source,
        mirror=mirror,
        label=source._meta.label_lower,
        key=key.name,
        columns=tuple(field.name for field in fields),
        db_columns=tuple(mirror._meta.get_field(field.name).column for field in fields),
    )


def mirror_tables() -> list[MirrorTable]:
    """Every mirror table of the installed apps, in order of the models' labels."""
    sources = [model for model in apps.get_models(include_auto_created=True) if "mirror_model" in vars(model._meta)]
    return sorted((table_for(model) for model in sources), key=lambda table: table.label)
