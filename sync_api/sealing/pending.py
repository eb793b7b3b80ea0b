"""Which captured rows make the next batch: whole units, in order of their last id.

Why the order is that of effect. A row's id is drawn in the AFTER trigger, so after the lock on the row that it
describes. If two units changed the same record, the later one drew that record's id after the earlier one had
committed, so its last id is higher. Units that share no record may stand in any order. On SQLite one writer works at
a time: ids are in the order of commits, and a unit's ids stand together.

On PostgreSQL ids interleave and commit late. Up to a bound, a unit is taken only if it has no row beyond the bound;
every unit whose last id is within the bound is therefore seen, and they are ordered by it. A unit that becomes
visible only after the bound was passed committed after all units taken, and so shares no earlier change with them.

A mark ends its batch. It was written while no other writer had captured anything uncommitted, so every unit before it
has lower ids only, and every unit after it higher ones.
"""

from __future__ import annotations

from itertools import chain, groupby, islice
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from django.db import OperationalError, connections
from django.db.models import BigIntegerField, Count, Func, Min, Sum

from sync_api.conf import limit
from sync_api.exceptions import UnitTooLarge
from sync_api.models import LocalDevice, OutgoingTransaction
from sync_api.sealing.unreadable import is_unreadable, mend_unreadable
from sync_api.wire.marks import MARK

COLUMNS = (
    'id, unit, action, previous_pk, payload, schema_id, is_baseline, "user", reason, producer, captured_at, utc_offset'
)

KEY_SHOWN_MAX = 100

PAYLOAD = attrgetter("payload")


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


def pending_rows(alias: str, device: LocalDevice, lines: int | None = None) -> list[Row]:
    """The rows of the next batch; empty when everything is sealed. Call inside a transaction that holds the
    device's row. They end with the unit that reaches `lines`, or SYNC_BATCH_LINES where that is fewer. UnitTooLarge
    names a unit that no batch may carry; those before it are given first."""
    most = int(limit("SYNC_BATCH_LINES"))
    lines = most if lines is None else min(lines, most)
    if connections[alias].vendor != "sqlite":
        return interleaved_units(alias, device, lines)
    try:
        return contiguous_units(alias, device, lines)
    except OperationalError as error:
        if not is_unreadable(error) or not mend_unreadable(alias, device):
            raise
    return contiguous_units(alias, device, lines)


def contiguous_units(alias: str, device: LocalDevice, lines: int) -> list[Row]:
    size_max = int(limit("SYNC_BATCH_BYTES"))
    at_once = int(limit("SYNC_SEAL_READ_ROWS"))
    rows: list[Row] = []
    size = 0
    with connections[alias].cursor() as cursor:
        cursor.execute(
            f"SELECT {COLUMNS} FROM sync_api_outgoingtransaction WHERE id > %s AND device = %s ORDER BY id",
            [device.sealed_until, device.name],
        )
        found = chain.from_iterable(iter(lambda: cursor.fetchmany(at_once), []))
        for _, unit in groupby(found, key=itemgetter(Row._fields.index("unit"))):
            if len(rows) >= lines or size >= size_max:
                return rows
            begin, unit_size = len(rows), 0
            while part := list(map(Row._make, islice(unit, at_once))):
                rows += part
                unit_size += sum(map(bytes_of, map(PAYLOAD, part)))
                unit_lines = len(rows) - begin
                if unit_lines > lines or unit_size > size_max:
                    if begin and exceeded(unit_lines, unit_size):
                        return rows[:begin]
                    check_unit(alias, unit_lines, unit_size, rows[begin].id)
            size += unit_size
            if rows[-1].action == MARK:
                return rows
    return rows


def interleaved_units(alias: str, device: LocalDevice, lines: int) -> list[Row]:
    size_max = int(limit("SYNC_BATCH_BYTES"))
    window, window_size = lines, size_max
    while True:
        bound = window_bound(alias, device, window, window_size)
        if bound is None:
            return []
        whole = whole_units(alias, device, bound)
        if whole:
            return take(alias, whole, lines=lines, size_max=size_max)
        check_units_within(alias, device, bound)
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


def check_units_within(alias: str, device: LocalDevice, bound: int) -> None:
    """UnitTooLarge for a unit that has more within the bound than any may have. Several large ones in one window are
    no reason: the window grows until the first of them is whole."""
    rows = OutgoingTransaction.objects.using(alias).filter(device=device.name, batch_number=None, id__lte=bound)
    units = (
        rows.order_by()
        .values("unit")
        .annotate(
            lines=Count("id"),
            size=Sum(Func("payload", function="octet_length", output_field=BigIntegerField())),
            first=Min("id"),
        )
    )
    for unit in units.order_by("first"):
        check_unit(alias, unit["lines"], unit["size"], unit["first"])


def bytes_of(text: str) -> int:
    """As UTF-8. (Asking whether a text is ASCII costs nothing: Python keeps it with the text.)"""
    return len(text) if text.isascii() else len(text.encode())


def take(alias: str, units: list[list[Row]], *, lines: int, size_max: int) -> list[Row]:
    """As many units from the front as a batch holds, one at least."""
    rows: list[Row] = []
    size = 0
    for unit in units:
        if rows and (len(rows) >= lines or size >= size_max):
            break
        unit_size = sum(bytes_of(row.payload) for row in unit)
        if rows and exceeded(len(unit), unit_size):
            break
        check_unit(alias, len(unit), unit_size, unit[0].id)
        rows += unit
        size += unit_size
        if unit[-1].action == MARK:
            break
    return rows


def exceeded(unit_lines: int, unit_size: int) -> str:
    """The name of the setting that a unit exceeds; empty when it may travel."""
    counts = {"SYNC_UNIT_LINES_MAX": unit_lines, "SYNC_UNIT_BYTES_MAX": unit_size}
    return next((setting for setting, count in counts.items() if count > int(limit(setting))), "")


def check_unit(alias: str, unit_lines: int, unit_size: int, row_id: int) -> None:
    """UnitTooLarge names the unit by the record of this captured row. What was captured before it goes first."""
    setting = exceeded(unit_lines, unit_size)
    if setting:
        record = record_of(alias, row_id)
        raise UnitTooLarge(rows=unit_lines, rows_max=int(limit(setting)), setting=setting, record=record)


def record_of(alias: str, row_id: int) -> str:
    """The record that a captured row speaks of, as people name it."""
    label, key = OutgoingTransaction.objects.using(alias).values_list("tx_name", "tx_pk").get(pk=row_id)
    return f"{label} {key[:KEY_SHOWN_MAX]}"
