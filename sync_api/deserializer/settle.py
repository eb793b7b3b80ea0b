"""Applies the units of one batch set by set, and finds those that cannot be applied."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DataError, Error, IntegrityError, InterfaceError, transaction

from audit.engine import Change, Current, Key, Plan, carry_over, load_current, plan, write
from audit.mirror.tables import MirrorTable
from audit.models import Device, Source, TableChanges
from sync_api.deserializer import troubles
from sync_api.deserializer.decode import Decoded, decode_lines
from sync_api.deserializer.eras import place_of
from sync_api.deserializer.lines import Line
from sync_api.deserializer.troubles import Trouble
from sync_api.deserializer.units import Parked, Record, Units
from sync_api.failpoints import failpoint
from sync_api.models import IncomingBatch

REFUSALS = (DataError, IntegrityError, InterfaceError)
LIMIT_EXCEEDED = "54"
"""PostgreSQL's class of errors for what is too large, such as a key too long for its index."""


@dataclass(frozen=True, slots=True)
class Work:
    """One batch's units on the way to the mirror: where, whose, from where."""

    alias: str
    device: Device
    era: str
    header: dict[str, Any]
    reference: str
    """`epoch/number`: the source that the mirror's versions name."""
    committed_by: str
    earlier: tuple[str, ...] = ()
    """Preserved eras that the era's records may come from: see `audit.engine.carry_over`."""
    overlaps: bool = False
    """Whether the device may tell again what it told before: see `eras.Place`."""
    accepted: frozenset[int] = frozenset()
    """Units whose baselines an operator took as they are."""


def work_of(alias: str, device: Device, batch: IncomingBatch, *, committed_by: str) -> Work:
    """The batch's work, in the era that its device gave it."""
    place = place_of(alias, batch)
    reference = f"{batch.epoch.epoch}/{batch.number}"
    return Work(alias, device, place.era, batch.header, reference, committed_by, place.earlier, place.overlaps)


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of the units: the mirror's changes, and the units that must wait."""

    changes: list[TableChanges]
    waiting: dict[int, Parked]
    units: Units


def settle(work: Work, lines: Sequence[Line], held: Mapping[Record, int], decoded: Decoded | None = None) -> Settled:
    """Apply every unit of `lines` that can be applied, all of its lines or none; name the others.

    `held` are the records that units parked earlier hold back, with those units' ids; `decoded` the lines as
    `decode_lines` gives them, where that was done before. Call inside a transaction that also marks the lines and
    parks the waiting units. Where nothing is wrong, the number of statements depends on the models, not on the lines.
    """
    if decoded is None:
        decoded = decode_lines(work.alias, work.header, lines)
    return Settlement(work, lines, decoded, held).run()


class Settlement:
    def __init__(self, work: Work, lines: Sequence[Line], decoded: Decoded, held: Mapping[Record, int]) -> None:
        self.work = work
        self.lines = lines
        self.changes = taken(decoded.changes, lines, work.accepted) if work.accepted else decoded.changes
        self.held = held
        self.units = Units(lines, decoded.decoders)
        self.own: dict[int, tuple[Line, Trouble]] = {}
        """By unit: its own trouble, with the line it lies in."""
        for number in sorted(decoded.troubles):
            self.blame(number, decoded.troubles[number])
        self.waiting = self.units.waiting(self.own, held)

    def blame(self, number: int, trouble: Trouble) -> None:
        self.own.setdefault(self.lines[number].unit, (self.lines[number], trouble))

    def run(self) -> Settled:
        current = self.load(range(len(self.lines)))
        changes: list[TableChanges] = []
        while True:
            made = self.planned(current)
            if not made.tables:
                break
            try:
                with transaction.atomic(using=self.work.alias):
                    failpoint("consume.before_write")
                    changes = self.write(made)
                break
            except Error as error:
                if not (is_refusal(error) and self.isolate()):
                    raise
                self.waiting = self.units.waiting(self.own, self.held)
        return Settled(changes, self.waiting, self.units)

    def planned(self, current: Current) -> Plan:
        """A plan without failures: what fails is blamed, and what depends on it waits."""
        while True:
            numbers = self.applicable()
            made = plan(self.of(numbers), current)
            if not made.failures:
                return made
            for failure in made.failures:
                self.blame(numbers[failure.index], Trouble(failure.code, failure.text))
            self.waiting = self.units.waiting(self.own, self.held)

    def applicable(self) -> Sequence[int]:
        if not self.waiting:
            return range(len(self.lines))
        return [number for number, line in enumerate(self.lines) if line.unit not in self.waiting]

    def of(self, numbers: Sequence[int]) -> list[Change]:
        """The changes of these lines. A line without one lies in a unit that waits, so none is left out."""
        if len(numbers) == len(self.changes) and not self.own:
            return self.changes  # type: ignore[return-value]  # without a trouble there is a change for every line
        return [change for change in map(self.changes.__getitem__, numbers) if change is not None]

    def load(self, numbers: Sequence[int]) -> Current:
        keys: defaultdict[MirrorTable, set[Key]] = defaultdict(set)
        changed: defaultdict[MirrorTable, set[Key]] = defaultdict(set)
        compared = set()
        for action, table, key, _, _ in self.of(numbers):
            keys[table].add(key)
            if action != "I":
                changed[table].add(key)
            if action == "B":
                compared.add(table)
        work = self.work
        current = load_current(work.alias, work.device.pk, keys, compared, era=work.era)
        if work.earlier:
            told = keys if work.overlaps else changed
            carry_over(work.alias, work.device.pk, current, told, compared, eras=work.earlier)
        return current

    def write(self, made: Plan) -> list[TableChanges]:
        work = self.work
        named = Source(
            device=work.device, kind=Source.Kind.BATCH, reference=work.reference, app_version=work.header["app"]
        )
        (source,) = Source.objects.using(work.alias).bulk_create(  # one statement, where get_or_create has four
            [named],
            update_conflicts=True,
            unique_fields=["device", "kind", "reference"],
            update_fields=["reference"],
        )
        return write(work.alias, work.device, made, source, work.committed_by, work.header["app"], era=work.era)

    def isolate(self) -> bool:
        """Blame the units that the database refuses: write halves, and halves of what fails; then take all back."""
        numbers: defaultdict[int, list[int]] = defaultdict(list)
        for number in self.applicable():
            numbers[self.lines[number].unit].append(number)
        before = len(self.own)
        with transaction.atomic(using=self.work.alias):
            self.bisect(list(numbers.values()), self.blame)
            transaction.set_rollback(True, using=self.work.alias)
        return len(self.own) > before

    def bisect(self, units: list[list[int]], blame: Callable[[int, Trouble], None]) -> None:
        try:
            with transaction.atomic(using=self.work.alias):
                self.try_out([number for unit in units for number in unit])
        except Error as error:
            if not is_refusal(error):
                raise
            if len(units) > 1:
                middle = len(units) // 2
                self.bisect(units[:middle], blame)
                self.bisect(units[middle:], blame)
                return
            line = self.lines[units[0][0]]
            blame(units[0][0], troubles.refused_by_database(line.tx_name, line.tx_pk, kind_of(error)))

    def try_out(self, numbers: Sequence[int]) -> None:
        """Write these lines' units as far as they can be planned: the others depend on one already blamed."""
        current = self.load(numbers)
        while True:
            made = plan(self.of(numbers), current)
            if not made.failures:
                break
            failed = {self.lines[numbers[failure.index]].unit for failure in made.failures}
            numbers = [number for number in numbers if self.lines[number].unit not in failed]
        if made.tables:
            self.write(made)


def taken(changes: Sequence[Change | None], lines: Sequence[Line], units: frozenset[int]) -> list[Change | None]:
    """The changes, the baselines of these units as ones to take as they are."""
    return [
        change._replace(action="A") if change is not None and change.action == "B" and line.unit in units else change
        for change, line in zip(changes, lines, strict=True)
    ]


def is_refusal(error: Error) -> bool:
    """Whether a database will not hold a value. Anything else is not a unit's fault."""
    state = getattr(error.__cause__, "sqlstate", None) or ""
    return isinstance(error, REFUSALS) or state.startswith(LIMIT_EXCEEDED)


def kind_of(error: Error) -> str:
    cause = error.__cause__
    return type(cause).__name__ if cause is not None else type(error).__name__
