"""A table as a sequence of revisions (`shared/portal/README.md`): read, replay, compare.

Any file of that form can be replayed on any model that has a field per column: other tables of the same kind
need a model and nothing else.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import models, transaction
from django.utils import timezone

PROJECT_ROOT = Path(__file__).resolve().parent.parent.parent
TABLES = ("rodent_species", "rodent_trapping", "plots", "plant_species", "plant_census_dates")


def data_folder() -> Path:
    """Where the tables lie: SYNC_PORTAL_DATA, else ../shared/portal beside the checkout."""
    return Path(os.environ.get("SYNC_PORTAL_DATA") or PROJECT_ROOT.parent / "shared" / "portal")


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision: its changes, and what the whole table is after it."""

    number: int
    columns: tuple[str, ...]
    changes: list[dict[str, Any]]
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table's file: its name, its key columns and its revisions, read as they are asked for."""

    path: Path
    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]

    @classmethod
    def open(cls, path: Path) -> Table:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            head = json.loads(next(lines))
        return cls(path, head["table"], tuple(head["key"]), tuple(head["columns"]))

    def revisions(self) -> Iterator[Revision]:
        with gzip.open(self.path, "rt", encoding="utf-8") as lines:
            next(lines)
            for line in lines:
                raw = json.loads(line)
                yield Revision(raw["revision"], tuple(raw["columns"]), raw["changes"], raw["rows"], raw["sha256"])


def apply_revision(model: type[models.Model], key: Sequence[str], revision: Revision, *, using: str) -> str:
    """Make the revision's changes, each by `save()` or `delete()` of an instance; opens one transaction.

    Columns that the revision does not have become null. Returns the moment after it, ISO 8601.
    """
    columns = [field.name for field in model._meta.concrete_fields if not field.primary_key]
    objects = model._default_manager.using(using)
    with transaction.atomic(using=using):
        for change in revision.changes:
            if change["op"] == "D":
                objects.get(**dict(zip(key, change["key"], strict=True))).delete()
                continue
            row = change["row"]
            if change["op"] == "I":
                instance = model(**row)
            else:
                instance = objects.get(**{column: row[column] for column in key})
                for column in columns:
                    setattr(instance, column, row.get(column))
            instance.save(using=using)
    return moment_after_now()


def moment_after_now() -> str:
    """A moment that lies after everything done so far and before everything done from now on."""
    moment = timezone.now()
    while timezone.now() <= moment:
        pass
    return moment.isoformat()


def digest(rows: Iterable[Mapping[str, Any]], key: Sequence[str], columns: Sequence[str]) -> tuple[int, str]:
    """Count and SHA-256 of a table's state as the files give them: only `columns`, in order of the keys."""
    keyed = sorted((tuple(row[column] for column in key), row) for row in rows)
    total = hashlib.sha256()
    for _, row in keyed:
        kept = {column: row[column] for column in columns}
        text = json.dumps(kept, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        total.update(text.encode() + b"\n")
    return len(keyed), total.hexdigest()


def state(queryset: models.QuerySet[Any], table: Table, revision: Revision) -> tuple[int, str]:
    """Count and SHA-256 of what `queryset` (a mirror as of a moment, or the table itself) holds."""
    return digest(queryset.values(*dict.fromkeys((*table.key, *revision.columns))), table.key, revision.columns)
