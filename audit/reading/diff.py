"""What differs between two versions of a record, or between two states of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, overload

from audit.exceptions import DifferentRecords
from audit.mirror.columns import MirrorRow
from audit.mirror.queryset import MirrorQuerySet
from audit.mirror.tables import MirrorTable, table_for

ROWS_READ_AT_ONCE_MAX = 500


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field's value before and after."""

    field: str
    older: Any
    newer: Any


@dataclass(frozen=True, slots=True)
class RecordChange:
    """One record that differs. For an added or removed one, `fields` holds all values against None.

    `older` and `newer` are the versions compared: who, when and why are read on them.
    """

    kind: Literal["added", "changed", "removed"]
    label: str
    device: int
    era: str
    key: Any
    fields: tuple[FieldChange, ...]
    older: MirrorRow | None
    newer: MirrorRow | None


@overload
def diff(older: MirrorRow, newer: MirrorRow) -> RecordChange: ...
@overload
def diff(older: MirrorQuerySet, newer: MirrorQuerySet) -> list[RecordChange]: ...
def diff(older: MirrorRow | MirrorQuerySet, newer: MirrorRow | MirrorQuerySet) -> RecordChange | list[RecordChange]:
    """What changed from `older` to `newer`: two versions of a record, or two states (querysets) of a mirror.

    `diff(*Visit.mirror.history("laptop-1", key)[:2])`, or
    `diff(Visit.mirror.as_of(monday), Visit.mirror.as_of(friday))`. DifferentRecords if the two versions are
    not of one record.
    """
    if isinstance(older, MirrorQuerySet) and isinstance(newer, MirrorQuerySet):
        return list(changed_records(older, newer))
    assert isinstance(older, MirrorRow), "two versions or two querysets"
    assert isinstance(newer, MirrorRow), "two versions or two querysets"
    table = table_for(older.mirror_of)
    if type(older) is not type(newer) or identity(table, older) != identity(table, newer):
        raise DifferentRecords(older=str(older), newer=str(newer))
    return record_change(table, older, newer)


def changed_records(older: MirrorQuerySet, newer: MirrorQuerySet) -> Iterator[RecordChange]:
    """The records that differ between two states, in order of device, era and `_pk`.

    Only numbers are read of what is the same version in both.
    """
    table = table_for(older.model.mirror_of)
    before, after = identities(table, older), identities(table, newer)
    pairs = [
        (before.get(record), after.get(record))
        for record in sorted(before.keys() | after.keys(), key=lambda record: (*record[:2], str(record[2])))
        if before.get(record) != after.get(record)
    ]
    for start in range(0, len(pairs), ROWS_READ_AT_ONCE_MAX):
        chunk = pairs[start : start + ROWS_READ_AT_ONCE_MAX]
        old = rows_by_pk(older, (pk for pk, _ in chunk))
        new = rows_by_pk(newer, (pk for _, pk in chunk))
        for before_pk, after_pk in chunk:
            change = record_change(table, old.get(before_pk), new.get(after_pk))
            if change.fields:
                yield change


def identities(table: MirrorTable, state: MirrorQuerySet) -> dict[tuple[int, str, Any], int]:
    rows = state.order_by().values_list("mirror_device", "mirror_era", table.key, "mirror_pk")
    return {(device, era, key): pk for device, era, key, pk in rows.iterator(chunk_size=2_000)}


def rows_by_pk(state: MirrorQuerySet, pks: Iterable[int | None]) -> dict[int | None, MirrorRow]:
    wanted = [pk for pk in pks if pk is not None]
    return dict(state.model.objects.using(state.db).in_bulk(wanted))


def identity(table: MirrorTable, row: MirrorRow) -> tuple[int, str, Any]:
    return row.mirror_device_id, row.mirror_era, getattr(row, table.key)


def record_change(table: MirrorTable, older: MirrorRow | None, newer: MirrorRow | None) -> RecordChange:
    there = newer or older
    assert there is not None, "one of the two is there"
    fields = []
    for name in table.columns:
        before, after = getattr(older, name, None), getattr(newer, name, None)
        if before != after or (older is None) != (newer is None):
            fields.append(FieldChange(name, before, after))
    device, era, key = identity(table, there)
    kind: Literal["added", "changed", "removed"] = "changed"
    if older is None or newer is None:
        kind = "added" if older is None else "removed"
    return RecordChange(kind, table.label, device, era, key, tuple(fields), older, newer)
