"""Erasing: the content of finalized records is emptied, the fact stays. What a version held, nobody reads any more.

This is the mirror's part. Whoever keeps content elsewhere (received transactions, stored batches, files, uploads)
adds a function to `on_erased`; it is called inside the erasing transaction, before the mirror is emptied, so that it
can still read which files the versions name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from django.db import connections
from django.utils import timezone

from audit.clock import next_moment
from audit.engine.changes import Key
from audit.engine.current import lock_device
from audit.exceptions import EraReused, NotFinalized, ReasonRequired, RecordUnknown
from audit.fields import from_microseconds
from audit.index.keeping import Touched, update_index
from audit.mirror.columns import NOW
from audit.mirror.tables import MirrorTable
from audit.models import Device, Source, TableChanges
from audit.sql import among_numbers, quoted

Erased: TypeAlias = list[tuple[MirrorTable, list[int]]]
"""By table: the `_pk`s of the versions that are emptied."""

on_erased: list[Callable[[str, Device, Erased], None]] = []
"""Called as `hook(alias, device, erased)` inside the erasing transaction, before the content goes. May run again for
versions that are empty already. What it raises ends the erasing, and nothing is erased."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """All versions of one record: those of its key in its era, and those that they follow or that follow them."""

    table: MirrorTable
    key: Key
    eras: frozenset[str]
    pks: tuple[int, ...]
    is_erased: bool


def lineages(alias: str, table: MirrorTable, device: Device, key: Key) -> list[Lineage]:
    """The records that ever had this key on the device, oldest first. One statement."""
    rows = table.mirror.objects.using(alias).filter(mirror_device=device, **{table.key: key}).order_by("mirror_pk")
    eras: dict[str, set[str]] = {}
    by_pk: dict[int, str] = {}
    versions = list(rows.values_list("mirror_pk", "mirror_era", "mirror_predecessor", "mirror_erased"))
    for pk, era, predecessor, _ in versions:
        by_pk[pk] = era
        group = eras.setdefault(era, {era})
        if predecessor in by_pk and by_pk[predecessor] not in group:
            merged = group | eras[by_pk[predecessor]]
            eras.update(dict.fromkeys(merged, merged))
    found: dict[frozenset[str], list[tuple[int, bool]]] = {}
    for pk, era, _, erased in versions:
        found.setdefault(frozenset(eras[era]), []).append((pk, bool(erased)))
    return [
        Lineage(table, key, group, tuple(pk for pk, _ in own), all(erased for _, erased in own))
        for group, own in found.items()
    ]


def finalized_lineage(
    alias: str, table: MirrorTable, device: Device, key: object, *, era: str | None = None
) -> Lineage:
    """The lineage to erase. RecordUnknown; NotFinalized while its device still holds it; EraReused where several
    records had the key and no era says which."""
    known = table.canonical_key(key)
    found = [one for one in lineages(alias, table, device, known) if era is None or era in one.eras]
    if not found:
        raise RecordUnknown(label=table.label, device=device.name, key=key, era=era)
    finalized = [one for one in found if NOW not in one.eras]
    if not finalized:
        raise NotFinalized(label=table.label, device=device.name, key=key)
    if len(finalized) > 1:
        raise EraReused(label=table.label, key=key, eras=[era for one in finalized for era in sorted(one.eras)])
    return finalized[0]


def empty_versions(
    alias: str,
    device: Device,
    chosen: Mapping[MirrorTable, Collection[int]],
    *,
    user: str,
    reason: str,
    source: Source | None = None,
) -> list[TableChanges]:
    """Empty these versions: every column but the record's key. Who, when, why and the links stay, and why it was done.

    Call inside a transaction (`audit.transactions.immediate`). Versions that are empty already stay as they are: done
    again, it changes nothing. ReasonRequired.
    """
    if not reason.strip():
        raise ReasonRequired(label=", ".join(table.label for table in chosen), what="An erasure")
    lock_device(alias, device.pk)
    erased: Erased = [(table, sorted(pks)) for table, pks in chosen.items() if pks]
    for hook in on_erased:
        hook(alias, device, erased)
    moment = from_microseconds(next_moment(alias))
    changes, touched = [], {}
    for table, pks in erased:
        emptied = empty(alias, table, pks, user=user, reason=reason)
        if emptied:
            touched[table] = Touched(changed=emptied)
            keys = {"erased": emptied}
            counts = {"model": table.label, "erased": len(emptied), "keys": keys, "text": reason.strip()}
            changes.append(TableChanges(source=source, device=device, committed_at=moment, committed_by=user, **counts))
    update_index(alias, device, touched)
    TableChanges.objects.using(alias).bulk_create(changes)
    return changes


def empty(alias: str, table: MirrorTable, pks: Collection[int], *, user: str, reason: str) -> list[int]:
    """One statement per table; the `_pk`s of the versions that still had content."""
    content = [quoted(name) for name in table.db_columns if name != table.key_column]
    cleared = "".join(f", {name} = NULL" for name in content)
    among, parameter = among_numbers(alias, pks)
    sql = (
        f'UPDATE {quoted(table.name)} SET "_erased" = %s, "_erased_at" = %s, "_erased_by" = %s, "_erased_reason" = %s'
        f'{cleared} WHERE "_pk" {among} AND ("_erased" IS NULL OR NOT "_erased") RETURNING "_pk"'
    )
    at = connections[alias].ops.adapt_datetimefield_value(timezone.now())
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, [True, at, user, reason.strip(), parameter])
        return sorted(pk for (pk,) in cursor.fetchall())
