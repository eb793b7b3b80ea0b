"""Which captured rows make the next batch: whole units, in order of their last id.

Why the order is that of effect. A row's id is drawn in the AFTER trigger, so after the lock on the row that it
describes. If two units changed the same record, the later one drew that record's id after the earlier one had
committed, so its last id is higher. Units that share no record may stand in any order. On SQLite one writer works at
a time: ids are in the order of commits, and a unit's ids stand together.

On PostgreSQL ids interleave and commit late. Up to a bound, a unit is taken only if it has no row beyond the bound;
every unit whose last id is within the bound is therefore seen, and they are ordered by it. A unit that becomes
visible only after the bound was passed committed after all units taken, and so shares no earlier change with them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db import connections

from sync_api.conf import limit
from sync_api.exceptions import UnitTooLarge
from sync_api.models import LocalDevice

COLUMNS = (
    'id, unit, action, previous_pk, payload, schema_id, is_baseline, "user", reason, producer, captured_at, utc_offset'
)


class Row(NamedTuple):
    """One captured row, as the database keeps it."""

    id: int
    unit: int
    action: str
    previous_pk: str | None
    payload: str
    schema_id: int
    is_baseline: Any
    user: str | None
    reason: str | None
    producer: str
    captured_at: int
    utc_offset: int | None


def pending_rows(alias: str, device: LocalDevice) -> list[Row]:
    """The rows of the next batch; empty when everything is sealed. Call inside a transaction that holds the
    device's row. UnitTooLarge names a unit that no batch may carry."""
    if connections[alias].vendor == "sqlite":
        return contiguous_units(alias, device)
    return interleaved_units(alias, device)


def contiguous_units(alias: str, device: LocalDevice) -> list[Row]:
    lines, size_max = int(limit("SYNC_BATCH_LINES")), int(limit("SYNC_BATCH_BYTES"))
    rows: list[Row] = []
    size = unit_lines = unit_size = 0
    unit = None
    with connections[alias].cursor() as cursor:
        cursor.execute(
            f"SELECT {COLUMNS} FROM sync_api_outgoingtransaction WHERE id > %s AND device = %s ORDER BY id",
            [device.sealed_until, device.name],
        )
        while chunk := cursor.fetchmany(int(limit("SYNC_SEAL_READ_ROWS"))):
            for found in chunk:
                if found[1] != unit:
                    if len(rows) >= lines or size >= size_max:
                        return rows
                    unit, unit_lines, unit_size = found[1], 0, 0
                rows.append(Row._make(found))
                length = len(found[4])
                size += length
                unit_lines += 1
                unit_size += length
                if unit_lines > lines or unit_size > size_max:
                    check_unit(unit_lines, unit_size)
    return rows


def interleaved_units(alias: str, device: LocalDevice) -> list[Row]:
    lines, size_max = int(limit("SYNC_BATCH_LINES")), int(limit("SYNC_BATCH_BYTES"))
    window, window_size = lines, size_max
    while True:
        bound = window_bound(alias, device, window, window_size)
        if bound is None:
            return []
        whole = whole_units(alias, device, bound)
        if whole:
            return take(whole, lines=lines, size_max=size_max)
        check_unit(window, window_size)
        window, window_size = window * 4, window_size * 4


def window_bound(alias: str, device: LocalDevice, window: int, window_size: int) -> int | None:
    """The id of the last unsealed row within so many rows and bytes; None without one."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT max(id) FROM (SELECT id, sum(bytes) OVER (ORDER BY id) - bytes AS before FROM ("
            "SELECT id, octet_length(payload) AS bytes FROM sync_api_outgoingtransaction"
            " WHERE batch_number IS NULL AND device = %s ORDER BY id LIMIT %s) AS w) AS s WHERE before < %s",
            [device.name, window, window_size],
        )
        (bound,) = cursor.fetchone()
    return None if bound is None else int(bound)


def whole_units(alias: str, device: LocalDevice, bound: int) -> list[list[Row]]:
    """The units whose rows all lie within the bound, in order of their last id. They stay in the same statement's
    view, so a unit is never seen in part: also one that has become visible since the bound was found, with rows on
    both sides of it."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            f"SELECT {COLUMNS} FROM sync_api_outgoingtransaction AS o"
            " WHERE batch_number IS NULL AND device = %s AND id <= %s"
            " AND NOT EXISTS (SELECT 1 FROM sync_api_outgoingtransaction AS later"
            " WHERE later.batch_number IS NULL AND later.unit = o.unit AND later.id > %s AND later.device = o.device)"
            " ORDER BY id",
            [device.name, bound, bound],
        )
        units: dict[int, list[Row]] = {}
        for found in cursor.fetchall():
            units.setdefault(found[1], []).append(Row._make(found))
    return sorted(units.values(), key=lambda unit: unit[-1].id)


def take(units: list[list[Row]], *, lines: int, size_max: int) -> list[Row]:
    """As many units from the front as a batch holds, one at least."""
    rows: list[Row] = []
    size = 0
    for unit in units:
        if rows and (len(rows) >= lines or size >= size_max):
            break
        unit_size = sum(len(row.payload) for row in unit)
        check_unit(len(unit), unit_size)
        rows += unit
        size += unit_size
    return rows


def check_unit(unit_lines: int, unit_size: int) -> None:
    for count, setting in ((unit_lines, "SYNC_UNIT_LINES_MAX"), (unit_size, "SYNC_UNIT_BYTES_MAX")):
        if count > int(limit(setting)):
            raise UnitTooLarge(rows=unit_lines, rows_max=int(limit(setting)), setting=setting)
