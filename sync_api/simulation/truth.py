"""What the users of a computer saw: its tables after each write, and the moments at which they stood so.

Kept in plain Python, read from the study's own tables, not from anything the product recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from django.db import connections, models
from django.db.models.fields.files import FieldFile

from audit.mirror.columns import NOW
from audit.mirror.tables import mirror_tables
from sync_api.schema import kind_of, references_of, synced_models
from sync_api.simulation.computers import Computer

Row: TypeAlias = tuple[Any, ...]
Rows: TypeAlias = dict[tuple[str, str], Row]
"""(model's label, key as text): the values of the compared columns."""


ERASED: Row = ("erased",)
"""In place of the values of a record that was erased on the server."""


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
    wiped: Rows = field(default_factory=dict)
    """What left the computer when it was finalized."""
    is_pure: bool = True
    """False once the computer was cloned, restored or enrolled anew: its past is then not the mirror's alone."""

    def note(self, computer: Computer) -> list[str]:
        """Take over what a write did; what capture did wrong, as sentences."""
        now = read_rows(computer.alias)
        captured = captured_since(computer.alias, self.last_id)
        problems = capture_problems(self.rows, now, captured)
        self.take(now, captured, computer)
        return problems

    def take(self, now: Rows, captured: list[Captured], computer: Computer) -> None:
        self.rows = now
        if captured:
            self.last_id = captured[-1].id
            self.effective = max(self.effective, computer.clock.told)
            self.states[self.effective] = {**self.wiped, **now}

    def note_wipe(self, computer: Computer, server: Computer) -> list[str]:
        """Take over what finalizing did: rows may have left, each of them preserved on the server as it was."""
        now = read_rows(computer.alias)
        gone = {record: row for record, row in self.rows.items() if record not in now}
        changed = [record for record in now if now[record] != self.rows.get(record)]
        problems = [f"{' '.join(record)} was changed by finalizing" for record in changed]
        if gone:
            preserved = preserved_rows(server.alias, computer.device)
            problems += [
                f"{' '.join(record)} was wiped, and the server has not preserved it as it was"
                for record, row in gone.items()
                if preserved.get(record) not in (row, ERASED)
            ]
        self.wiped.update(gone)
        self.take(now, captured_since(computer.alias, self.last_id), computer)
        return problems

    def start_again(self, computer: Computer) -> None:
        """The database is another one now."""
        self.rows = read_rows(computer.alias)
        captured = captured_since(computer.alias, 0)
        self.last_id = captured[-1].id if captured else 0
        self.wiped = {}
        self.is_pure = False


def preserved_rows(alias: str, device: str) -> Rows:
    """What a server has of a device in preserved eras, as of now."""
    rows: Rows = {}
    for table in mirror_tables():
        names = [field.name for field in compared_fields(table.source)]
        found = table.mirror.objects.using(alias).filter(mirror_device__name=device, mirror_current=True)
        for key, erased, *values in found.exclude(mirror_era=NOW).values_list(table.key, "mirror_erased", *names):
            rows[(table.label, key_text(key))] = ERASED if erased else tuple(map(plain, values))
    return rows


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
