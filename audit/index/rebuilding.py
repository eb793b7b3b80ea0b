"""The index from nothing, and whether the one that is there is the same."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from django.db import connections

from audit.clock import hold_clock
from audit.index.registry import Registration, registrations
from audit.index.statements import INDEX, NAMES, entries_sql, insert_sql
from audit.models import IndexEntry
from audit.transactions import immediate

SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """An entry that one index has and the other has not. `is_missing`: the mirror calls for it and it is not there."""

    model: str
    mirror_pk: int
    is_missing: bool

    def __str__(self) -> str:
        return f"{'missing' if self.is_missing else 'wrong'}: {self.model} _pk {self.mirror_pk}"


def reindex(
    alias: str, labels: Collection[str] | None = None, progress: Callable[[str, int], None] | None = None
) -> dict[str, int]:
    """Make the index anew, table by table; the number of entries by model label.

    Each table is a transaction of its own, in which commits of the mirror wait: readers see the old entries or the new
    ones. The database does it alone, so memory does not grow. Interrupted, it is run again, or for `labels` only.
    Entries of models that are not indexed any more go.
    """
    counts: dict[str, int] = {}
    for one in chosen(labels):
        with immediate(alias):
            hold_clock(alias)
            IndexEntry.objects.using(alias).filter(model=one.table.label)._raw_delete(alias)
            with connections[alias].cursor() as cursor:
                cursor.execute(insert_sql(one, connections[alias].vendor))
                counts[one.table.label] = cursor.rowcount
        if progress is not None:
            progress(one.table.label, counts[one.table.label])
    if labels is None:
        known = [one.table.label for one in registrations().values()]
        IndexEntry.objects.using(alias).exclude(model__in=known)._raw_delete(alias)
    return counts


def check_index(alias: str, labels: Collection[str] | None = None) -> tuple[int, list[Difference]]:
    """How many entries differ from an index rebuilt from nothing, and the first of them. Reads only.

    One statement per table, so that a commit in between is in both or in neither.
    """
    total, shown = 0, list[Difference]()
    for one in chosen(labels):
        with connections[alias].cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM ({differences_sql(one, alias)}) AS d", [one.table.label] * 2)
            (count,) = cursor.fetchone()
            if count and len(shown) < SHOWN_MAX:
                sql = f"{differences_sql(one, alias)} ORDER BY 2, 1 LIMIT {SHOWN_MAX - len(shown)}"
                cursor.execute(sql, [one.table.label] * 2)
                shown += [Difference(one.table.label, pk, bool(missing)) for missing, pk in cursor.fetchall()]
            total += count
    if labels is None:
        known = [one.table.label for one in registrations().values()]
        strangers = IndexEntry.objects.using(alias).exclude(model__in=known).order_by("model", "mirror_pk")
        total += strangers.count()
        some = strangers.values_list("model", "mirror_pk")[: max(0, SHOWN_MAX - len(shown))]
        shown += [Difference(model, pk, is_missing=False) for model, pk in some]
    return total, shown


def chosen(labels: Collection[str] | None) -> list[Registration]:
    return [one for one in registrations().values() if labels is None or one.table.label in labels]


def differences_sql(one: Registration, alias: str) -> str:
    """(1 for a missing entry, 0 for a wrong one; `_pk`). Entries are compared in all their columns."""
    built = entries_sql(one, connections[alias].vendor)
    there = f'SELECT {NAMES} FROM {INDEX} WHERE "model" = %s'
    return (
        f"SELECT 1 AS missing, mirror_pk FROM (SELECT * FROM ({built}) AS x EXCEPT SELECT * FROM ({there}) AS y) AS a"
        f" UNION ALL"
        f" SELECT 0, mirror_pk FROM (SELECT * FROM ({there}) AS y EXCEPT SELECT * FROM ({built}) AS x) AS c"
    )
