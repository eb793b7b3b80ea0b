"""Descriptions of models, as a batch's header carries them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from django.apps import apps
from django.db import models

from sync_api.exceptions import UnsupportedField
from sync_api.schema.kinds import kind_of


@dataclass(frozen=True, slots=True)
class ModelSchema:
    """One model's columns in payload order. `fields` holds (name, kind, referred label or None)."""

    model: type[models.Model]
    storage: str
    label: str
    pk: str
    fields: tuple[tuple[str, str, str | None], ...]

    @property
    def description(self) -> dict[str, Any]:
        """{"label", "pk", "fields": [[name, kind, referred label or null], ...]}"""
        return {"label": self.label, "pk": self.pk, "fields": [list(field) for field in self.fields]}

    @property
    def fingerprint(self) -> str:
        return fingerprint_of(self.description, self.storage)


def fingerprint_of(description: dict[str, Any], storage: str) -> str:
    """SHA-256, in hex, over storage and description; any change of the columns changes it."""
    facts = {"storage": storage, **{name: description[name] for name in ("label", "pk", "fields")}}
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def is_synced(model: type[models.Model]) -> bool:
    """Whether a concrete model's table is captured: it has the mixin, or links two models for one that has."""
    meta = model._meta
    if meta.abstract or meta.proxy or meta.swapped or not meta.managed:
        return False
    if meta.auto_created:
        return bool(getattr(meta.auto_created, "is_synced_model", False))
    return bool(getattr(model, "is_synced_model", False))


def synced_models() -> list[type[models.Model]]:
    """Every concrete synced model, auto-created many-to-many tables included, in order of their labels."""
    found = [model for model in apps.get_models(include_auto_created=True) if is_synced(model)]
    return sorted(found, key=lambda model: model._meta.label_lower)


def references_of(model: type[models.Model]) -> dict[str, tuple[str, ...]]:
    """Declared references: foreign key's name -> the referred model's natural key, as field names."""
    return dict(getattr(model, "sync_references", {}))


def describe(model: type[models.Model], storage: str) -> ModelSchema:
    """The schema of `model` on `storage` ("sqlite" or "postgresql"). UnsupportedField names what cannot travel."""
    references = references_of(model)
    fields = []
    for field in model._meta.local_concrete_fields:
        kind = kind_of(field, references)
        if kind is None:
            raise UnsupportedField(model=model._meta.label, field=field.name, type_name=type(field).__name__)
        fields.append((field.name, kind, referred_label(field, kind)))
    key = model._meta.pk
    assert key is not None
    return ModelSchema(model, storage, model._meta.label_lower, key.name, tuple(fields))


def referred_label(field: models.Field[Any, Any], kind: str) -> str | None:
    """The label of the synced model whose key `field` holds, if it holds one."""
    if not field.is_relation or kind in ("reference", "contenttype"):
        return None
    relation: Any = field
    target = relation.remote_field.model
    if relation.target_field is not target._meta.pk:
        return None
    return str(target._meta.concrete_model._meta.label_lower)
