"""What the users of a computer saw: its tables after each write, and the moments at which they stood so.

Kept in plain Python, read from the study's own tables, not from anything the product recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from django.db import connections, models
from django.db.models.fields.files import FieldFile

from sync_api.schema import kind_of, references_of, synced_models
from sync_api.simulation.computers import Computer

Row: TypeAlias = tuple[Any, ...]
Rows: TypeAlias = dict[tuple[str, str], Row]
"""(model's label, key as text): the values of the compared columns."""


def plain(value: Any) -> Any:
    """A value as it can be compared: files by name, bytes as bytes, not-a-number equal to itself."""
    if isinstance(value, FieldFile):
        return value.name
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    if isinstance(value, float) and value != value:
        return "nan"
    return value


def key_text(value: object) -> str:
    return value.hex if isinstance(value, UUID) else str(value)


def compared_fields(model: type[models.Model]) -> list[models.Field[Any, Any]]:
    """The columns that mean the same on a laptop and in the mirror: all but references by natural key."""
    references = references_of(model)
    return [
        field
        for field in model._meta.local_concrete_fields
        if kind_of(field, references) not in ("reference", "contenttype", None)
    ]


def read_rows(alias: str) -> Rows:
    """Every row of every synced table."""
    rows: Rows = {}
    for model in synced_models():
        key = model._meta.pk
        assert key is not None
        names = [key.attname, *(field.attname for field in compared_fields(model))]
        for pk, *values in model._base_manager.using(alias).values_list(*names):
            rows[(model._meta.label_lower, key_text(pk))] = tuple(map(plain, values))
    return rows


class Captured(NamedTuple):
    """One captured row, as the log has it."""

    id: int
    unit: int
    label: str
    action: str
    key: str


def captured_since(alias: str, last: int) -> list[Captured]:
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT id, unit, tx_name, action, tx_pk FROM sync_api_outgoingtransaction WHERE id > %s ORDER BY id",
            [last],
        )
        return list(map(Captured._make, cursor.fetchall()))


@dataclass(slots=True)
class Account:
    """One computer's account. `states` are its tables by effective moment, in microseconds."""

    rows: Rows = field(default_factory=dict)
    last_id: int = 0
    effective: int = 0
    states: dict[int, Rows] = field(default_factory=dict)
    is_pure: bool = True
    """False once the computer was cloned, restored or enrolled anew: its past is then not the mirror's alone."""

    def note(self, computer: Computer, told: int) -> list[str]:
        """Take over what a write did; what capture did wrong, as sentences."""
        now = read_rows(computer.alias)
        captured = captured_since(computer.alias, self.last_id)
        problems = capture_problems(self.rows, now, captured)
        self.rows = now
        if captured:
            self.last_id = captured[-1].id
            self.effective = max(self.effective, told)
            self.states[self.effective] = now
        return problems

    def start_again(self, computer: Computer) -> None:
        """The database is another one now."""
        self.rows = read_rows(computer.alias)
        captured = captured_since(computer.alias, 0)
        self.last_id = captured[-1].id if captured else 0
        self.is_pure = False


def capture_problems(before: Rows, after: Rows, captured: list[Captured]) -> list[str]:
    """Whether the captured rows are those that lead from one state to the other, as one unit."""
    problems = []
    last = {(row.label, row.key): row.action for row in captured}
    for record in before.keys() | after.keys():
        if before.get(record) == after.get(record):
            continue
        wanted = "D" if record not in after else "IU"
        action = last.get(record)
        if action is None or action not in wanted:
            problems.append(f"{' '.join(record)} changed, and its last captured action is {action}")
    for record, action in last.items():
        if (action == "D") is (record in after):
            problems.append(f"{' '.join(record)} was captured last as {action}, which is not what its table says")
    units = {row.unit for row in captured}
    if len(units) > 1:
        problems.append(f"one write was captured as {len(units)} units")
    return problems
