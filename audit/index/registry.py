"""Which models are indexed, and by what.

Indexing is asked for, model by model: an entry costs another write per record, and most tables of a study (answers,
measurements) are reached through the record they belong to. `Indexed()` alone indexes the model's natural key.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from django.db import models

from audit.exceptions import NotIndexable, NotMirrored
from audit.mirror.tables import MirrorTable, mirror_tables, table_for


@dataclass(frozen=True, slots=True)
class Indexed:
    """What a model is found by: `indexed = Indexed(identifiers=("code",), parent="patient")` on the model.

    `identifiers` are names of its own fields, the one that is searched for first; without them its natural key.
    `parent` is a foreign key to a mirrored model, whose identifiers then stand in the entry too.
    """

    identifiers: tuple[str, ...] = ()
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """One indexed table, ready for SQL: its fields, and the table of its parent."""

    table: MirrorTable
    identifiers: tuple[str, ...]
    parent_field: str | None
    parent: MirrorTable | None
    parent_identifiers: tuple[str, ...]


_registered: dict[type[models.Model], Indexed] = {}
_known: dict[MirrorTable, Registration] | None = None


def register(model: type[models.Model], identifiers: tuple[str, ...] = (), parent: str | None = None) -> None:
    """Index `model`, whatever it says itself. Call it when the apps are ready, in `AppConfig.ready`; then `reindex`."""
    _registered[model] = Indexed(tuple(identifiers), parent)
    forget()


def unregister(model: type[models.Model]) -> None:
    """Index it no more; its entries go with the next `reindex`."""
    _registered.pop(model, None)
    forget()


def forget() -> None:
    global _known
    _known = None


def registrations() -> dict[MirrorTable, Registration]:
    """Every indexed table of the installed apps. NotIndexable names a field that is not there."""
    global _known
    if _known is None:
        found = {table: declared(table) for table in mirror_tables()}
        _known = {table: registration(table, said) for table, said in found.items() if said is not None}
    return _known


def children_of(table: MirrorTable) -> list[Registration]:
    """The indexed tables whose entries hold this one's identifiers."""
    return [one for one in registrations().values() if one.parent is table]


def declared(table: MirrorTable) -> Indexed | None:
    """What was registered, or what the model itself or an abstract base of it says; a child table is another table."""
    if table.source in _registered:
        return _registered[table.source]
    for base in table.source.__mro__:
        said = vars(base).get("indexed")
        if isinstance(said, Indexed):
            is_own = base is table.source or getattr(getattr(base, "_meta", None), "abstract", True)
            return said if is_own else None
    return None


def registration(table: MirrorTable, said: Indexed) -> Registration:
    names = said.identifiers or tuple(name for name in natural_fields(table) if name != said.parent)
    unknown = [name for name in names if name not in table.columns]
    if unknown:
        raise NotIndexable(label=table.label, name=unknown[0], known=table.columns)
    if said.parent is None:
        return Registration(table, names, None, None, ())
    parent = parent_table(table, said.parent)
    known = declared(parent)
    theirs = (known.identifiers if known is not None else ()) or natural_fields(parent)
    return Registration(table, names, said.parent, parent, theirs)


def parent_table(table: MirrorTable, name: str) -> MirrorTable:
    field: Any = table.source._meta.get_field(name) if name in table.columns else None
    if field is None or not field.is_relation:
        raise NotIndexable(label=table.label, name=name, known=table.columns)
    try:
        return table_for(field.remote_field.model)
    except NotMirrored as error:
        raise NotIndexable(label=table.label, name=name, known=table.columns) from error


def natural_fields(table: MirrorTable) -> tuple[str, ...]:
    """The fields of the natural key: those `get_by_natural_key` takes by name, else what is unique, else the key."""
    model = table.source
    finder = getattr(model._default_manager, "get_by_natural_key", None)
    if finder is not None:
        names = tuple(inspect.signature(finder).parameters)
        if names and all(name in table.columns for name in names):
            return names
    for field in model._meta.local_concrete_fields:
        if field.unique and not field.primary_key:
            return (field.name,)
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.UniqueConstraint) and constraint.fields and constraint.condition is None:
            return tuple(constraint.fields)
    return (table.key,)
