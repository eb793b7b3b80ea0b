"""Preserving: a device's records leave the era NOW and are finalized on the server."""

from __future__ import annotations

from django.db import connections

from audit.clock import next_moment
from audit.engine.current import lock_device
from audit.engine.sqlite import quoted
from audit.fields import from_microseconds
from audit.mirror.columns import NOW
from audit.mirror.tables import MirrorTable, mirror_tables
from audit.models import Device, Source, TableChanges


def preserve_device(
    alias: str,
    device: Device,
    era: str,
    committed_by: str,
    forcibly: bool,
    *,
    source: Source | None = None,
) -> list[TableChanges]:
    """Give every NOW record of the device, with all its versions, the era `era` (an ISO 8601 moment).

    Keys of the device may then begin anew. Call inside a transaction (`audit.transactions.immediate`).
    Only tables that the device ever wrote to are looked at. Done twice, the second time changes nothing.
    """
    lock_device(alias, device.pk)
    written = TableChanges.objects.using(alias).filter(device=device).values_list("model", flat=True).distinct()
    labels = set(written.order_by())
    tables = [table for table in mirror_tables() if table.label in labels]
    if not tables:
        return []
    moment = from_microseconds(next_moment(alias))
    changes = []
    for table in tables:
        pks = take_era(alias, table, device, era, committed_by, forcibly=forcibly)
        if pks:
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
    TableChanges.objects.using(alias).bulk_create(changes)
    return changes


def take_era(
    alias: str, table: MirrorTable, device: Device, era: str, committed_by: str, *, forcibly: bool
) -> list[int]:
    """The `_pk`s of the current records that took the era; their closed versions take it with them."""
    sql = (
        f'UPDATE {quoted(table.name)} SET "_era" = %s, "_preserved_by" = %s, "_forcibly_preserved" = %s'
        f' WHERE "_device" = %s AND "_era" = %s RETURNING "_pk", "_current"'
    )
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, [era, committed_by, forcibly, device.pk, NOW])
        return sorted(pk for pk, is_current in cursor.fetchall() if is_current)
