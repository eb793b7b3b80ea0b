"""Reads what was captured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from django.apps import apps
from django.db import models
from django.db.models import Max

from sync_api.models import OutgoingTransaction
from sync_api.schema.decoding import read_value


class Recorded(list[OutgoingTransaction]):
    """The transactions captured inside a `with recorded(alias)` block, filled when it ends."""

    def brief(self) -> list[tuple[str, str, str]]:
        return [(tx.action, tx.tx_name.removeprefix("matrix."), tx.tx_pk) for tx in self]

    def actions(self) -> str:
        return "".join(tx.action for tx in self)

    def units(self) -> int:
        return len({tx.unit for tx in self})


@contextmanager
def recorded(alias: str) -> Iterator[Recorded]:
    manager = OutgoingTransaction.objects.using(alias)
    before = manager.aggregate(last=Max("id"))["last"] or 0
    found = Recorded()
    yield found
    found.extend(manager.filter(id__gt=before).select_related("schema").order_by("id"))


def values_of(tx: OutgoingTransaction) -> dict[str, Any]:
    """The payload as the device's own values, by field name."""
    model = apps.get_model(tx.tx_name)
    fields = tx.schema.description["fields"]
    assert tx.payload is not None
    return {
        name: read_value(kind, raw, plain(model._meta.get_field(name)), tx.schema.storage)
        for (name, kind, _), raw in zip(fields, orjson.loads(tx.payload), strict=True)
    }


def plain(field: Any) -> Any:
    while field.is_relation:
        field = field.target_field
    return field


def row_of(instance: models.Model) -> dict[str, Any]:
    """The row as the device reads it, from the database."""
    meta = instance._meta
    names = [field.attname for field in meta.local_concrete_fields]
    row = type(instance)._base_manager.using(instance._state.db).filter(pk=instance.pk).values(*names).get()
    return {field.name: row[field.attname] for field in meta.local_concrete_fields}
