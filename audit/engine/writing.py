"""Writes a plan: versions end and begin at one committed moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import add
from typing import Any

from django.db import models

from audit.clock import next_moment
from audit.engine.planning import NO_SUCCESSOR, Closing, Plan, TablePlan, Version
from audit.engine.stores import CLOSED_COLUMNS, OPEN_COLUMNS, Store, store_for
from audit.exceptions import PlanHasFailures
from audit.fields import from_microseconds
from audit.index.keeping import Touched, update_index
from audit.mirror.columns import NOW
from audit.mirror.tables import MirrorTable
from audit.models import Device, Source, TableChanges


@dataclass(frozen=True, slots=True)
class Commit:
    """What all versions of one commit share."""

    store: Store
    device: Device
    source: Source
    era: str
    moment: int
    committed_by: str
    app_version: str
    pks: Mapping[MirrorTable, Sequence[int]]
    """By table: the numbers of the new versions, in the order of the plan's."""


def write(
    alias: str,
    device: Device,
    plan: Plan,
    source: Source,
    committed_by: str,
    app_version: str,
    *,
    era: str = NOW,
) -> list[TableChanges]:
    """Commit a plan made from `load_current` of the same transaction; returns its audit rows, one per table.

    Call inside that transaction (`audit.transactions.immediate`): the commit clock is held from here to its
    end. The number of statements depends on the tables, not on the rows. A value or constraint that the
    database refuses is a `django.db.Error`; the transaction is then of no more use.
    """
    commit = begin(alias, device, plan, source, committed_by, app_version, era=era)
    changes = apply(commit, plan)
    update_index(alias, device, touched_by(commit, plan))
    TableChanges.objects.using(alias).bulk_create(changes)
    if source.kind != Source.Kind.CORRECTION and plan.captured_until:
        known_until(alias, device, plan.captured_until)
    return changes


def begin(
    alias: str, device: Device, plan: Plan, source: Source, committed_by: str, app_version: str, *, era: str
) -> Commit:
    """A commit with numbers for its new versions and then its moment: from here on other commits wait."""
    if plan.failures:
        raise PlanHasFailures(failures=len(plan.failures))
    store = store_for(alias)
    pks = {part.table: store.allot(part.table, len(part.versions)) for part in plan.tables.values() if part.versions}
    return Commit(store, device, source, era, next_moment(alias), committed_by, app_version, pks)


def apply(commit: Commit, plan: Plan) -> list[TableChanges]:
    """End and begin the plan's versions; its audit rows, one per table, not yet stored."""
    changes = []
    for part in plan.tables.values():
        if part.is_empty:
            continue
        allotted = commit.pks.get(part.table, ())
        retire(commit, part, allotted)
        insert(commit, part, allotted)
        changes.append(table_changes(commit, part, allotted))
    return changes


def touched_by(commit: Commit, plan: Plan) -> dict[MirrorTable, Touched]:
    """What the index has to follow, by table."""
    return {
        part.table: Touched(begun=commit.pks.get(part.table, ()), ended=part.retired)
        for part in plan.tables.values()
        if not part.is_empty
    }


def retire(commit: Commit, part: TablePlan, pks: Sequence[int]) -> None:
    if not part.retired:
        return
    moment = commit.store.moment
    rows = [
        (successor_pk(closing, pks), moment(closing.captured_at), *closing.stamp[2:5], pk)
        for pk, closing in part.retired.items()
    ]
    ended = commit.store.retire(part.table, rows, when=moment(commit.moment), committed_by=commit.committed_by)
    assert ended == len(rows), "the device's row is locked, so what was current still is"


def insert(commit: Commit, part: TablePlan, pks: Sequence[int]) -> None:
    if len(part.closed) < len(part.versions):
        commit.store.insert(part.table, OPEN_COLUMNS, open_rows(commit, part, pks))
    if part.closed:
        commit.store.insert(part.table, CLOSED_COLUMNS, closed_rows(commit, part, pks))


def open_rows(commit: Commit, part: TablePlan, pks: Sequence[int]) -> Iterable[tuple[Any, ...]]:
    """Rows of the versions that stay current, in the order of OPEN_COLUMNS and the table's own.

    Column by column, as nearly all rows of a mirror come this way: a third of the time of a loop over the rows.
    """
    versions: Sequence[Version] = part.versions
    numbers = pks
    if part.closed:
        kept = [ordinal for ordinal in range(len(versions)) if ordinal not in part.closed]
        versions = [versions[ordinal] for ordinal in kept]
        numbers = [pks[ordinal] for ordinal in kept]
    values, stamps, captured_at, predecessors = zip(*versions, strict=True)
    _, offsets, users, reasons, producers = zip(*stamps, strict=True)
    moments = {moment: commit.store.moment(moment) for moment in set(captured_at)}
    own = zip(
        numbers,
        [pks[-1 - pk] if pk is not None and pk < 0 else pk for pk in predecessors],
        map(moments.__getitem__, captured_at),
        offsets,
        users,
        reasons,
        producers,
        strict=True,
    )
    return map(add, map(add, own, repeat(constants(commit, current=True))), values)


def closed_rows(commit: Commit, part: TablePlan, pks: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Rows of the versions that began and ended within this commit: empty intervals, never a state."""
    moment = commit.store.moment
    constant = constants(commit, current=False)
    removed_at = moment(commit.moment)
    for ordinal, closing in part.closed.items():
        values, stamp, captured_at, predecessor = part.versions[ordinal]
        yield (
            pks[ordinal],
            pks[-1 - predecessor] if predecessor is not None and predecessor < 0 else predecessor,
            moment(captured_at),
            *stamp[1:],
            *constant,
            successor_pk(closing, pks),
            removed_at,
            moment(closing.captured_at),
            *closing.stamp[2:5],
            commit.committed_by,
            *values,
        )


def constants(commit: Commit, *, current: bool) -> tuple[Any, ...]:
    return (
        commit.device.pk,
        commit.era,
        current,
        commit.store.moment(commit.moment),
        commit.committed_by,
        commit.app_version,
        commit.source.pk,
    )


def successor_pk(closing: Closing, pks: Sequence[int]) -> int | None:
    return None if closing.successor == NO_SUCCESSOR else pks[closing.successor]


def table_changes(commit: Commit, part: TablePlan, pks: Sequence[int]) -> TableChanges:
    added = sum(version.predecessor is None for version in part.versions)
    modified = len(part.versions) - added
    ended = {pk: closing.successor for pk, closing in part.retired.items()}
    ended |= {pks[ordinal]: closing.successor for ordinal, closing in part.closed.items()}
    keys = {
        "added": list(pks),
        "modified": [pk for pk, successor in ended.items() if successor != NO_SUCCESSOR],
        "deleted": [pk for pk, successor in ended.items() if successor == NO_SUCCESSOR],
    }
    return TableChanges(
        source=commit.source,
        device=commit.device,
        committed_at=from_microseconds(commit.moment),
        committed_by=commit.committed_by,
        model=part.table.label,
        added=added,
        modified=modified,
        identical=part.identical,
        deleted=len(keys["deleted"]),
        keys={kind: numbers for kind, numbers in keys.items() if numbers},
    )


def known_until(alias: str, device: Device, captured_until: int) -> None:
    moment = from_microseconds(captured_until)
    earlier = models.Q(known_until=None) | models.Q(known_until__lt=moment)
    Device.objects.using(alias).filter(earlier, pk=device.pk).update(known_until=moment)
