"""States instead of changes: what a device says that its tables hold is compared with the mirror, and committed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, NamedTuple

from audit.engine.changes import Change, Key, Stamp
from audit.engine.current import Existing, lock_device
from audit.engine.planning import Plan, TablePlan
from audit.engine.preserve import take_era, written_tables
from audit.engine.stores import Store, store_for
from audit.engine.values import same_rows
from audit.engine.writing import apply, begin, known_until, touched_by
from audit.fields import from_microseconds
from audit.index.keeping import Touched, update_index
from audit.mirror.columns import NOW
from audit.mirror.tables import MirrorTable
from audit.models import Device, Source, TableChanges


@dataclass(frozen=True, slots=True)
class TableState:
    """What a device says of one table. The lists are of one length, a row at each place, no key twice."""

    keys: Sequence[Key]
    values: Sequence[tuple[Any, ...]]
    """Database parameters of `table.columns`."""
    modified: Sequence[int | None] | None = None
    """When the device changed each row, in microseconds since 1970 UTC, if it says so."""
    offsets: Sequence[int | None] | None = None
    """Minutes of local time of `modified`."""
    others: AbstractSet[Key] | None = frozenset()
    """Keys of records that are there and not among the rows: they stay as they are. The rest is deleted. None: the
    device does not say what else is there, so nothing is."""


class Committed(NamedTuple):
    """`changes` has one stored audit row per table; `pks`, by table, the new versions' numbers in the plan's order.
    `era` is what was preserved in, empty if nothing was."""

    changes: list[TableChanges]
    pks: Mapping[MirrorTable, Sequence[int]]
    era: str
    moment: int


def plan_states(alias: str, device_id: int, states: Mapping[MirrorTable, TableState], stamp: Stamp) -> Plan:
    """Compare the states with the device's current records in the era NOW, by value, and plan what differs.

    `stamp` is that of deletions and of rows without a modification time. At most two statements per table, however
    many rows. Call inside the transaction (`audit.transactions.immediate`) that commits the plan.
    """
    lock_device(alias, device_id)
    store = store_for(alias)
    tables = {table: plan_table(store, table, device_id, state, stamp) for table, state in states.items()}
    versions = [version.stamp.captured_at for part in tables.values() for version in part.versions]
    endings = [closing.stamp.captured_at for part in tables.values() for closing in part.retired.values()]
    return Plan(tables, [], max((0, *versions, *endings)))


def plan_table(store: Store, table: MirrorTable, device_id: int, state: TableState, stamp: Stamp) -> TablePlan:
    part = TablePlan(table, {})
    known, floors = load(store, table, device_id, state)
    stay = [place for place, key in enumerate(state.keys) if key in known]
    same = compare(table, [known[state.keys[place]] for place in stay], [state.values[place] for place in stay])
    part.identical = sum(same)
    changed = [place for place, is_same in zip(stay, same, strict=True) if not is_same]
    gone = [] if state.others is None else known.keys() - set(state.keys) - state.others
    for key in (*(state.keys[place] for place in changed), *gone):
        part.existing[key] = Existing(known[key][1], store.microseconds(known[key][2]), None)
    part.existing.update(floors)
    for place in changed:
        part.update(change("U", table, state, place, stamp))
    for place, key in enumerate(state.keys):
        if key not in known:
            part.insert(change("I", table, state, place, stamp))
    for key in sorted(gone, key=str):
        part.delete(Change("D", table, key, None, stamp))
    return part


def load(
    store: Store, table: MirrorTable, device_id: int, state: TableState
) -> tuple[dict[Key, Sequence[Any]], dict[Key, Existing]]:
    """Current versions by key as (key, _pk, begun, *values); and of deleted keys that come again, their ends."""
    known: dict[Key, Sequence[Any]] = {}
    if state.others is not None:
        known = {row[0]: row for row in store.current_versions(table, device_id, NOW, with_values=bool(state.keys))}
    missing = [key for key in state.keys if key not in known]
    floors: dict[Key, Existing] = {}
    if missing:
        with_values = state.others is None
        for key, pk, is_current, begun, ended, *values in store.last_versions(
            table, device_id, NOW, missing, with_values=with_values
        ):
            if is_current:
                known[key] = (key, pk, begun, *values)
                continue
            until = store.microseconds(ended)
            if key not in floors or floors[key].captured_until < until:
                floors[key] = Existing(None, until, None)
    return known, floors


def compare(table: MirrorTable, known: list[Sequence[Any]], values: list[tuple[Any, ...]]) -> list[bool]:
    if not known:
        return []
    return same_rows(table, list(zip(*known, strict=True))[3:], list(zip(*values, strict=True)))


def change(action: Any, table: MirrorTable, state: TableState, place: int, stamp: Stamp) -> Change:
    modified = state.modified[place] if state.modified is not None else None
    if modified is not None:
        stamp = stamp._replace(captured_at=modified, utc_offset=state.offsets[place] if state.offsets else None)
    return Change(action, table, state.keys[place], state.values[place], stamp)


def commit_states(
    alias: str,
    device: Device,
    plan: Plan,
    source: Source,
    committed_by: str,
    app_version: str,
    *,
    is_preserving: bool,
    moved: Mapping[MirrorTable, Collection[Key]],
) -> Committed:
    """Commit a plan of `plan_states`, then preserve: every record of the device, or those `moved`, with all versions.

    The era is the commit's own moment, so no two are alike. One audit row per table, with the keys of every version
    that was preserved, current or not. Call inside the plan's transaction; the commit clock is held from here to its
    end. The number of statements depends on the tables, not on the rows.
    """
    commit = begin(alias, device, plan, source, committed_by, app_version, era=NOW)
    changes = {change.model: change for change in apply(commit, plan)}
    era = from_microseconds(commit.moment).isoformat()
    preserved = preserve(alias, device, era, committed_by, plan, None if is_preserving else moved)
    touched = touched_by(commit, plan)
    for table, pks in preserved.items():
        touched[table] = touched.get(table, Touched())._replace(changed=pks)
    update_index(alias, device, touched)
    for table, pks in preserved.items():
        row = changes.get(table.label)
        if row is None:
            row = changes[table.label] = TableChanges(
                source=source,
                device=device,
                committed_at=from_microseconds(commit.moment),
                committed_by=committed_by,
                model=table.label,
                keys={},
            )
        row.preserved = len(pks)
        row.keys["preserved"] = pks
    rows = [changes[label] for label in sorted(changes)]
    TableChanges.objects.using(alias).bulk_create(rows)
    if plan.captured_until:
        known_until(alias, device, plan.captured_until)
    return Committed(rows, commit.pks, era if preserved else "", commit.moment)


def preserve(
    alias: str,
    device: Device,
    era: str,
    committed_by: str,
    plan: Plan,
    moved: Mapping[MirrorTable, Collection[Key]] | None,
) -> dict[MirrorTable, list[int]]:
    """By table: the versions that took the era. Without `moved` all of them do, of every table ever written to."""
    if moved is None:
        tables = list({*written_tables(alias, device), *plan.tables})
    else:
        tables = [table for table, keys in moved.items() if keys]
    preserved = {}
    for table in sorted(tables, key=lambda table: table.label):
        keys = None if moved is None else moved[table]
        taken = take_era(alias, table, device, era, committed_by, forcibly=False, keys=keys)
        if taken.versions:
            preserved[table] = taken.versions
    return preserved
