"""The synced rows of this database: their content, which rows refer to which, and which are part of another.

A record is (model label, key as text). A row of a many-to-many table is part of the row that declares the field, a row
of a child table part of its parent's: what is whole for people stays or goes together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson
from django.apps import apps
from django.db import connections

from audit.mirror.tables import table_for
from sync_api.capture.definitions import Captured
from sync_api.capture.install import columns_of, missing_columns
from sync_api.capture.reconcile import rows_now
from sync_api.wire.marks import Records

Record: TypeAlias = tuple[str, str]
UNSYNCED = ""
"""In place of the key of a referring row that is not synced."""


@dataclass(slots=True)
class LocalRows:
    """Every synced row. `references`: by referring record, what it refers to; `parts`: by record, what belongs to it.

    `held_by_others` are records that rows of tables which are not synced refer to, with one such table's label.
    """

    records: defaultdict[str, Records] = field(default_factory=lambda: defaultdict(Records))
    references: defaultdict[Record, list[Record]] = field(default_factory=lambda: defaultdict(list))
    parts: defaultdict[Record, list[Record]] = field(default_factory=lambda: defaultdict(list))
    held_by_others: dict[Record, str] = field(default_factory=dict)

    def __contains__(self, record: Record) -> bool:
        return record[1] in self.records[record[0]].rows

    def all(self) -> Iterator[Record]:
        for label, records in self.records.items():
            for key in records.rows:
                yield label, key

    def wholes(self, chosen: Iterable[Record]) -> set[Record]:
        """`chosen` with everything that belongs to it, and that it belongs to in a parent table."""
        taken: set[Record] = set()
        waiting = list(chosen)
        while waiting:
            record = waiting.pop()
            if record not in taken:
                taken.add(record)
                waiting += self.parts[record]
                waiting += [other for other in self.references[record] if is_parent(record, other)]
        return taken

    def with_referred(self, kept: Iterable[Record]) -> set[Record]:
        """`kept` with everything that must stay for it: what it refers to, and what belongs to any of these."""
        taken: set[Record] = set()
        waiting = [*kept, *self.held_by_others]
        while waiting:
            record = waiting.pop()
            if record not in taken and record in self:
                taken.add(record)
                waiting += self.references[record]
                waiting += self.parts[record]
        return taken

    def referring_to(self, chosen: set[Record]) -> list[tuple[Record, Record]]:
        """(referring, referred) for records of `chosen` that others refer to."""
        found = [
            (record, other)
            for record, referred in self.references.items()
            if record not in chosen
            for other in referred
            if other in chosen
        ]
        return found + [((label, UNSYNCED), other) for other, label in self.held_by_others.items() if other in chosen]


def read_rows(alias: str, tables: list[Captured]) -> LocalRows:
    """Read every synced row once. Call inside a transaction that keeps writers out."""
    rows = LocalRows()
    labels = {captured.schema.label for captured in tables}
    for captured in tables:
        label = captured.schema.label
        names = [name for name, _, _ in captured.schema.fields]
        owner = owning_field(captured.model)
        places = [
            (place, name, refers)
            for place, (name, _, refers) in enumerate(captured.schema.fields)
            if refers in labels and refers is not None
        ]
        records = rows.records[label]
        for key, payload in rows_now(alias, captured):
            records.add(key, names, payload)
            if not places:
                continue
            values = orjson.loads(payload)
            for place, name, refers in places:
                if values[place] is not None:
                    referred = (refers, str(values[place]))
                    rows.references[label, key].append(referred)
                    if name == owner:
                        rows.parts[referred].append((label, key))
    for referring, referred in other_references(alias, labels):
        if referring[1] == UNSYNCED:
            rows.held_by_others.setdefault(referred, referring[0])
        else:
            rows.references[referring].append(referred)
    return rows


def owning_field(model: Any) -> str | None:
    """The field that holds the key of the row which a row of this model is part of; None for a whole."""
    meta = model._meta
    if meta.auto_created:
        for many in meta.auto_created._meta.local_many_to_many:
            if many.remote_field.through is model:
                return str(many.m2m_field_name())
    parents = [link for link in meta.parents.values() if link is not None and link in meta.local_fields]
    return parents[0].name if parents else None


def is_parent(record: Record, other: Record) -> bool:
    """Whether `other` is the same object's row in a parent table."""
    model, parent = apps.get_model(record[0]), apps.get_model(other[0])
    return record[1] == other[1] and parent in model._meta.parents


def other_references(alias: str, labels: set[str]) -> Iterator[tuple[Record, Record]]:
    """References that no payload tells: from tables that are not synced, and by another column than the key."""
    standing = columns_of(alias)
    for model in apps.get_models(include_auto_created=True):
        meta = model._meta
        if meta.proxy or meta.abstract or not meta.managed or missing_columns(model, standing) != []:
            continue
        is_synced = meta.label_lower in labels
        for column in meta.local_concrete_fields:
            relation: Any = column
            target = relation.remote_field.model._meta.concrete_model if relation.is_relation else None
            if target is None or target._meta.label_lower not in labels:
                continue
            by_key = relation.target_field is target._meta.pk
            if is_synced and by_key:
                continue
            referred = column.attname if by_key else f"{column.name}__pk"
            own = table_for(model) if is_synced else None
            table = table_for(target)
            found = model._base_manager.using(alias).exclude(**{column.name: None}).values_list("pk", referred)
            for key, value in found.iterator():
                referring = UNSYNCED if own is None else str(own.canonical_key(key))
                yield (meta.label_lower, referring), (table.label, str(table.canonical_key(value)))


def vendor(alias: str) -> str:
    return str(connections[alias].vendor)
