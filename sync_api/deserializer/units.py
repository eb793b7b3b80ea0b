"""Which units have to wait: those with a trouble of their own, and those that touch or refer to a record of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from sync_api.deserializer import troubles
from sync_api.deserializer.decode import ModelDecoder, parse_one
from sync_api.deserializer.lines import Line
from sync_api.deserializer.troubles import SEALED, Trouble
from sync_api.wire.sealed_payloads import SEALED_KEY

Record: TypeAlias = tuple[str, str]
"""(model's label, key as text)."""


class Head(NamedTuple):
    """The unit whose own trouble holds others back: one of this batch, or one parked earlier (its id)."""

    unit: int | None = None
    parked_id: int | None = None


class Parked(NamedTuple):
    """A unit to set aside. `head` is None when the trouble is its own."""

    line: Line
    trouble: Trouble
    head: Head | None = None


class Units:
    """The units of one batch: their lines, the records they touch, those they refer to."""

    def __init__(self, lines: Sequence[Line], decoders: Sequence[ModelDecoder]) -> None:
        self.lines = lines
        self.decoders = decoders

    @cached_property
    def by_number(self) -> dict[int, list[Line]]:
        return {unit: list(lines) for unit, lines in groupby(self.lines, attrgetter("unit"))}

    @cached_property
    def needed(self) -> dict[int, list[Record]]:
        """By unit: the records it touches and those it refers to."""
        return {
            unit: [
                record
                for line in lines
                for record in (*touched(line), *referred(line, self.decoders[line.model_index]))
            ]
            for unit, lines in self.by_number.items()
        }

    def records(self, unit: int) -> list[Record]:
        """The records that a unit changes, each once."""
        return list(dict.fromkeys(record for line in self.by_number[unit] for record in touched(line)))

    def waiting(self, own: Mapping[int, tuple[Line, Trouble]], earlier: Mapping[Record, int]) -> dict[int, Parked]:
        """The units that must wait, given those with a trouble of their own and the records held back earlier.

        `earlier` names the parked unit (its id) that holds a record. In order: a unit waits behind the first
        unit before it that holds one of its records; a unit's own trouble counts only where it need not wait. A unit
        that is sealed says so in any case, and holds every record of its model: nobody here knows which it touches.
        """
        if not own and not earlier:
            return {}
        held = {record: Head(parked_id=parked_id) for record, parked_id in earlier.items()}
        sealed = {label for label, key in held if key == SEALED_KEY}
        waiting: dict[int, Parked] = {}
        for unit, needed in self.needed.items():
            blocker = next((record for record in needed if record in held), None)
            if blocker is None and sealed:
                blocker = next(
                    ((line.tx_name, SEALED_KEY) for line in self.by_number[unit] if line.tx_name in sealed), None
                )
            if unit in own and own[unit][1].code in SEALED:
                blocker = None
            if blocker is not None:
                head = held[blocker]
                waiting[unit] = Parked(self.by_number[unit][0], troubles.behind_parked(*blocker), head)
            elif unit in own:
                head = Head(unit=unit)
                waiting[unit] = Parked(*own[unit])
            else:
                continue
            for record in self.records(unit):
                held.setdefault(record, head)
                if record[1] == SEALED_KEY:
                    sealed.add(record[0])
        return waiting


def touched(line: Line) -> Iterator[Record]:
    yield line.tx_name, line.tx_pk
    if line.previous_pk is not None:
        yield line.tx_name, line.previous_pk


def referred(line: Line, decoder: ModelDecoder) -> Iterator[Record]:
    if not decoder.referred:
        return
    row = parse_one(line.payload)
    if not isinstance(row, list) or len(row) != decoder.width:
        return
    for place, label in decoder.referred:
        if row[place] is not None:
            yield label, str(row[place])
