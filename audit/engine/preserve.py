"""Preserving: a device's records leave the era NOW and are finalized on the server."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from django.db import connections

from audit.clock import next_moment
from audit.engine.changes import Key
from audit.engine.current import lock_device
from audit.engine.stores import store_for
from audit.fields import from_microseconds
from audit.index.keeping import Touched, update_index
from audit.mirror.columns import NOW
from audit.mirror.tables import MirrorTable, mirror_tables
from audit.models import Device, Source, TableChanges
from audit.sql import among_numbers, quoted


def preserve_device(
    alias: str,
    device: Device,
    era: str,
    committed_by: str,
    forcibly: bool,
    *,
    source: Source | None = None,
    keys: Mapping[MirrorTable, Collection[Key]] | None = None,
    later: Collection[int] = (),
) -> list[TableChanges]:
    """Give every NOW record of the device, with all its versions, the era `era` (an ISO 8601 moment).

    With `keys`, only these records. `later` are ids of sources that came after the era's end: a record's versions
    from there on, and corrections of them, stay in NOW, following those that leave it. Keys of the device may then
    begin anew. Call inside a transaction (`audit.transactions.immediate`). Only tables that the device ever wrote to
    are looked at. Done twice, the second time changes nothing.
    """
    lock_device(alias, device.pk)
    tables = [table for table in written_tables(alias, device) if keys is None or keys.get(table)]
    if not tables:
        return []
    moment = from_microseconds(next_moment(alias))
    changes = []
    touched = {}
    for table in tables:
        chosen = None if keys is None else keys[table]
        taken = take_era(alias, table, device, era, committed_by, forcibly=forcibly, keys=chosen, later=later)
        pks = taken.versions if device.kind == Device.Kind.STATE else taken.current
        if pks:
            touched[table] = Touched(changed=pks)
            changes.append(
                TableChanges(
                    source=source,
                    device=device,
                    committed_at=moment,
                    committed_by=committed_by,
                    model=table.label,
                    preserved=len(pks),
                    keys={"preserved": pks},
                )
            )
    update_index(alias, device, touched)
    TableChanges.objects.using(alias).bulk_create(changes)
    return changes


def written_tables(alias: str, device: Device) -> list[MirrorTable]:
    """The tables that the device ever wrote to."""
    written = TableChanges.objects.using(alias).filter(device=device).values_list("model", flat=True).distinct()
    labels = set(written.order_by())
    return [table for table in mirror_tables() if table.label in labels]


class Taken(NamedTuple):
    """`_pk`s, sorted: of all versions that took an era, and of those among them that are current."""

    versions: list[int]
    current: list[int]


def take_era(
    alias: str,
    table: MirrorTable,
    device: Device,
    era: str,
    committed_by: str,
    *,
    forcibly: bool,
    keys: Collection[Key] | None = None,
    later: Collection[int] = (),
) -> Taken:
    """The versions that took the era: all of a record, or none."""
    store = store_for(alias)
    name, key = quoted(table.name), quoted(table.key_column)
    sql = (
        f'UPDATE {name} AS m SET "_era" = %s, "_preserved_by" = %s, "_forcibly_preserved" = %s'
        f' WHERE m."_device" = %s AND m."_era" = %s'
    )
    parameters: list[Any] = [era, committed_by, forcibly, device.pk, NOW]
    if keys is not None:
        among, parameter = store.among_keys(table, keys)
        sql += f" AND m.{key} {among}"
        parameters.append(parameter)
    if later:
        among, parameter = among_numbers(alias, later)
        sql += (
            f" AND NOT EXISTS (SELECT 1 FROM {name} AS l WHERE l.{key} = m.{key}"
            f' AND l."_device" = m."_device" AND l."_era" = %s AND l."_pk" <= m."_pk" AND l."_source" {among})'
        )
        parameters += [NOW, parameter]
    with connections[alias].cursor() as cursor:
        cursor.execute(f'{sql} RETURNING "_pk", "_current"', parameters)
        rows = sorted(cursor.fetchall())
    return Taken([pk for pk, _ in rows], [pk for pk, is_current in rows if is_current])
