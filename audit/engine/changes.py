"""What the engine is given, and what it answers about changes that cannot be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from audit.mirror.tables import MirrorTable

Key: TypeAlias = int | str
Action: TypeAlias = Literal["I", "U", "D", "B", "A"]


class Stamp(NamedTuple):
    """Who, when and why: one object may be shared by all changes of a unit.

    `captured_at` is the effective moment in microseconds since 1970 UTC, `utc_offset` minutes of local time.
    """

    captured_at: int
    utc_offset: int | None
    user: str | None
    reason: str | None
    producer: str


class Change(NamedTuple):
    """One change of one record: I insert, U update, D delete, B insert of a baseline, A baseline taken as it is.

    `key` is an int, or text (a UUID as 32 hex digits). `values` are database parameters of `table.columns`,
    in that order, for the database it will be written to; a delete's are not looked at.
    """

    action: Action
    table: MirrorTable
    key: Key
    values: tuple[Any, ...] | None
    stamp: Stamp


KEY_IN_USE = "key_in_use"
RECORD_MISSING = "record_missing"
BASELINE_DIFFERS = "baseline_differs"

TEXTS = {
    KEY_IN_USE: "An insert of {label} {key}, which already has a current record in the mirror.",
    RECORD_MISSING: "A change of {label} {key}, which has no current record in the mirror.",
    BASELINE_DIFFERS: "The device's existing {label} {key} differs from its current record in the mirror.",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Change number `index` of the list given cannot be made. `code` is one of the three above."""

    index: int
    code: str
    change: Change

    @property
    def text(self) -> str:
        return TEXTS[self.code].format(label=self.change.table.label, key=self.change.key)
