"""A device's state as validators see it: the same whether it is in the mirror already or only asked about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from django.db import models

from audit.mirror.columns import NOW
from audit.mirror.tables import MirrorTable, table_for
from audit.models import Device


class Row(NamedTuple):
    """One record: its client key, and its values by field name as Django's fields read them.

    A foreign key's value is the referred record's key. The key of a record that has none yet is None.
    """

    key: Any
    values: Mapping[str, Any]


class State(Protocol):
    """The device's records after the upload, those included which it moves to an older era."""

    alias: str
    device: Device | None

    def rows(self, model: type[models.Model]) -> Mapping[Any, Row]:
        """Every current record of `model`, by client key. One statement, however many there are."""


class MirrorState:
    """The state in the mirror: era NOW, and the era that the commit at work moves records to.

    A question asks about the present: it gives no era.
    """

    def __init__(self, alias: str, device: Device | None, era: str | None = None) -> None:
        self.alias = alias
        self.device = device
        self.eras = [NOW] if era is None else [NOW, era]
        self._held: dict[type[models.Model], Mapping[Any, Row]] = {}

    def rows(self, model: type[models.Model]) -> Mapping[Any, Row]:
        if model not in self._held:
            self._held[model] = {} if self.device is None else self._read(table_for(model))
        return self._held[model]

    def _read(self, table: MirrorTable) -> Mapping[Any, Row]:
        found = table.mirror._default_manager.using(self.alias).filter(
            mirror_device=self.device, mirror_era__in=self.eras, mirror_current=True
        )
        rows = found.order_by("mirror_pk").values(*table.columns)
        return {row[table.key]: Row(row[table.key], row) for row in rows}


class AskedState:
    """The present state with asked-about records laid over it. New records have numbers below 0 for keys."""

    def __init__(self, present: MirrorState, asked: Mapping[type[models.Model], list[Row]]) -> None:
        self.alias = present.alias
        self.device = present.device
        self._present = present
        self._asked = asked

    def rows(self, model: type[models.Model]) -> Mapping[Any, Row]:
        merged = dict(self._present.rows(model))
        for place, row in enumerate(self._asked.get(model, []), 1):
            merged[-place if row.key is None else row.key] = row
        return merged
