"""Builds a model's mirror, so that it lands in the model's own app by an ordinary `makemigrations`."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Collection
from functools import partial
from typing import Any

from django.apps import apps
from django.db import models
from django.db.backends.utils import truncate_name

from audit.mirror.access import MirrorAccess
from audit.mirror.columns import OWN_COLUMNS, MirrorRow, is_content_type, mirrored_fields, plain_field

TABLE_LENGTH_MAX = 63
NAME_LENGTH_MAX = 30

name_collisions: dict[str, list[str]] = {}
"""By model label: the names in the way, for which no mirror could be built (`audit.E001`)."""


def build_mirror(model: type[models.Model], references: Collection[str] = ()) -> None:
    """Build `<Model>Mirror` beside `model`, and mirrors of its auto-created many-to-many tables.

    `references` names the foreign keys (a mapping by field name will do) whose target's natural key is kept
    as text. Call it when the model's class is prepared: it acts once every model that the columns depend on
    is known. Abstract, proxy and swapped models, and models of migrations and schema editors, get no mirror.
    """
    meta = model._meta
    if meta.apps is not apps or meta.abstract or meta.proxy or meta.swapped or issubclass(model, MirrorRow):
        return
    wait_and_build(model, frozenset(references))
    for field in meta.local_many_to_many:
        through: Any = field.remote_field.through
        if not isinstance(through, str) and through._meta.auto_created:
            wait_and_build(through, frozenset())


def wait_and_build(model: type[models.Model], references: frozenset[str]) -> None:
    own = (model._meta.app_label, model._meta.model_name)
    act = partial(build_when_known, model, references)
    apps.lazy_model_operation(lambda *_: act(), own, *unknown_models(model))


def build_when_known(model: type[models.Model], references: frozenset[str]) -> None:
    missing = unknown_models(model)
    if missing:
        apps.lazy_model_operation(lambda *_: build_when_known(model, references), *missing)
    elif not hasattr(model._meta, "mirror_model"):
        create_mirror(model, references)


def unknown_models(model: type[models.Model]) -> list[tuple[str, str]]:
    """The (app label, name) of the models that the columns' types depend on and that are not loaded yet."""
    unknown: list[tuple[str, str]] = []
    seen: set[type[models.Model]] = set()

    def look(fields: list[models.Field[Any, Any]], owner: type[models.Model]) -> None:
        for field in fields:
            if not field.is_relation:
                continue
            remote: Any = field.remote_field
            target = remote.model
            if isinstance(target, str):
                unknown.append(model_key(target, owner))
            elif not is_loaded(target):
                unknown.append((target._meta.app_label, target._meta.model_name))
            elif target not in seen and target is not owner:
                seen.add(target)
                pk = target._meta.pk
                if pk is not None:
                    look([pk], target)

    look(mirrored_fields(model), model)
    return [key for key in unknown if key != (model._meta.app_label, model._meta.model_name)]


def is_loaded(model: type[models.Model]) -> bool:
    """Whether the class is complete: a many-to-many table is made while its owner still is."""
    return apps.all_models[model._meta.app_label].get(str(model._meta.model_name)) is model


def model_key(name: str, owner: type[models.Model]) -> tuple[str, str]:
    if name == "self":
        return owner._meta.app_label, str(owner._meta.model_name)
    app_label, _, model_name = name.rpartition(".")
    return app_label or owner._meta.app_label, model_name.lower()


def create_mirror(model: type[models.Model], references: frozenset[str]) -> None:
    collisions = names_in_the_way(model)
    if collisions:
        name_collisions[model._meta.label] = collisions
        return
    fields = mirrored_fields(model)
    key = model._meta.pk
    assert key is not None
    attributes: dict[str, Any] = {
        field.name: plain_field(field, references=references, key=field is key) for field in fields
    }
    for field in fields:
        if field.attname not in attributes:
            attributes[field.attname] = alias_of(field.name)
    name = f"{model._meta.object_name}Mirror"
    attributes |= {
        "__module__": model.__module__,
        "__doc__": f"Every version of every {model._meta.label} of every device.",
        "mirror_of": model,
        "Meta": mirror_meta(model, fields, references),
    }
    mirror = type(name, (MirrorRow,), attributes)
    setattr(sys.modules[model.__module__], name, mirror)
    model._meta.mirror_model = mirror  # type: ignore[attr-defined]
    model.mirror = MirrorAccess(mirror)  # type: ignore[attr-defined]


def alias_of(name: str) -> property:
    return property(lambda self: getattr(self, name), doc=f"The same as `{name}`.")


def names_in_the_way(model: type[models.Model]) -> list[str]:
    """Names of the model that the mirror needs for itself."""
    taken = []
    for field in mirrored_fields(model):
        if field.name == "mirror" or field.name.startswith("mirror_") or str(field.column).lower() in OWN_COLUMNS:
            taken.append(field.name)
    own = vars(model).get("mirror")
    if own is not None and not isinstance(own, MirrorAccess) and "mirror" not in taken:
        taken.append("mirror")
    if isinstance(model._meta.pk, models.CompositePrimaryKey):
        taken.append("pk (a composite primary key)")
    return taken


def mirror_meta(model: type[models.Model], fields: list[models.Field[Any, Any]], references: frozenset[str]) -> type:
    """Table, the one-current-row constraint, and few indexes: client key, references, the model's order."""
    table = truncate_name(f"{model._meta.db_table}_mirror", TABLE_LENGTH_MAX)
    key = model._meta.pk
    assert key is not None
    linked = [
        field.name
        for field in fields
        if field is not key and (field.name in references or (field.is_relation and not is_content_type(field)))
    ]
    return type(
        "Meta",
        (),
        {
            "app_label": model._meta.app_label,
            "db_table": table,
            "constraints": [
                models.UniqueConstraint(
                    fields=["mirror_device", "mirror_era", key.name],
                    condition=models.Q(mirror_current=True),
                    name=short_name(table, "current"),
                )
            ],
            "indexes": [
                models.Index(fields=[key.name, "mirror_device"], name=short_name(table, key.name)),
                *(
                    models.Index(
                        fields=[name, "mirror_removed_captured_at", "mirror_captured_at"],
                        name=short_name(table, name),
                    )
                    for name in linked
                ),
                *ordering_index(model, fields, table),
            ],
        },
    )


def ordering_index(model: type[models.Model], fields: list[models.Field[Any, Any]], table: str) -> list[models.Index]:
    """An index for the model's own order (Meta.ordering), if it is one of plain columns of this table.

    It makes the first page of a list as of a moment take the same time however many versions there are.
    """
    ordering = model._meta.ordering
    names = {field.name for field in fields if not field.is_relation}
    if not ordering or not all(isinstance(term, str) and term.removeprefix("-") in names for term in ordering):
        return []
    terms = [str(term) for term in ordering]
    key = model._meta.pk
    if key is not None and terms[0].removeprefix("-") == key.name:
        return []
    return [models.Index(fields=terms, name=short_name(table, "order"))]


def short_name(table: str, purpose: str) -> str:
    """A name of at most 30 characters that depends on nothing but table and purpose."""
    digest = hashlib.sha256(f"{table}.{purpose}".encode()).hexdigest()[:10]
    return f"m{digest}_{purpose}"[:NAME_LENGTH_MAX].rstrip("_")
