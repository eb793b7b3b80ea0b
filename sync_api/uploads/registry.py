"""What a study tells the server about uploads, as data: registered once, in the study's `AppConfig.ready`.

    from sync_api.uploads.registry import registry

    class StudyConfig(AppConfig):
        def ready(self):
            registry.root(Participant, identity=("identifier",), info=("identifier", "given_name"))
            registry.validator(Visit, weights_are_human)
            registry.server(title="Malaria study", upload_policy="identifier")

Everything here is empty unless registered: every synced model may then be uploaded, and no record has an access key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from django.db import models

from audit.mirror.tables import MirrorTable, mirror_tables
from sync_api.exceptions import Refusal, RootNotRegistered
from sync_api.schema.versions import NO_MINIMUM, min_client_version
from sync_api.uploads.state import Row, State

Model: TypeAlias = type[models.Model]

Validator: TypeAlias = Callable[[Sequence[Row], State], Iterable[Refusal]]
"""Given the rows that an upload adds or changes, and the device's whole state after it: what is refused, and why.

Called once per model and commit, inside the commit's transaction; and by the question `validate`, before anything is
sent. It reads and never writes. A reason names no field's value: it is logged and shown.
"""

Schedules: TypeAlias = Callable[[str, Mapping[str, Any]], Iterable["Schedule"]]
"""Given a database alias and what is known of a record: the schedules that its person follows."""


@dataclass(frozen=True, slots=True)
class ScheduleItem:
    """One table to fill in, from and until so many days after the schedule's beginning."""

    table: str
    due_from_days: int
    due_by_days: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """What one person is asked to fill in, and when. `begins_on` is an ISO 8601 date; None: not begun."""

    name: str
    items: tuple[ScheduleItem, ...]
    begins_on: str | None = None


@dataclass(frozen=True, slots=True)
class IdNumber:
    """A kind of number by which people are known: `which` is its number on the seed's wire (idnum1, ...)."""

    which: int
    description: str
    short: str


@dataclass(frozen=True, slots=True)
class IdNumberTable:
    """The model that holds id numbers, a row each; where old clients' `idnum1` and so on go."""

    model: Model
    owner: Model
    owner_field: str
    which_field: str
    value_field: str


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a client is told about the server it uploads to. `wire_version` is told on the seed's wire."""

    title: str = "syncserver"
    upload_policy: str = ""
    finalize_policy: str = ""
    wire_version: str = "2.4.24"
    id_numbers: tuple[IdNumber, ...] = ()


@dataclass(frozen=True, slots=True)
class ExtraString:
    """A text of the study that clients show."""

    task: str
    name: str
    value: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Root:
    """A model whose records can have access keys. Known by `identity`; `info` is what its person is told."""

    model: Model
    identity: tuple[str, ...]
    info: tuple[str, ...]
    schedules: Schedules | None = None

    @property
    def label(self) -> str:
        return self.model._meta.label_lower


@dataclass(frozen=True, slots=True)
class Owner:
    """A reference without a foreign key: one field names the table, another the key (blobs, say)."""

    table_field: str
    key_field: str


@dataclass(slots=True)
class Registry:
    """All that is registered. There is one, `registry`."""

    validators: dict[Model, list[Validator]] = field(default_factory=dict)
    roots: dict[str, Root] = field(default_factory=dict)
    owners: dict[Model, Owner] = field(default_factory=dict)
    closed: set[Model] = field(default_factory=set)
    info: ServerInfo = field(default_factory=ServerInfo)
    strings: list[ExtraString] = field(default_factory=list)
    id_number_table: IdNumberTable | None = None

    def validator(self, model: Model, *validators: Validator) -> None:
        """Have uploads of `model` checked by these, in this order. The same one twice counts once."""
        held = self.validators.setdefault(model, [])
        held.extend(one for one in validators if one not in held)

    def root(
        self,
        model: Model,
        *,
        identity: Sequence[str],
        info: Sequence[str] = (),
        schedules: Schedules | None = None,
    ) -> None:
        """Let records of `model` have access keys. Fields are named as on the model."""
        for name in (*identity, *info):
            model._meta.get_field(name)
        self.roots[model._meta.label_lower] = Root(model, tuple(identity), tuple(info or identity), schedules)

    def owned(self, model: Model, *, table_field: str, key_field: str) -> None:
        """Records of `model` belong to the record that these two fields name: a table, and a key there."""
        for name in (table_field, key_field):
            model._meta.get_field(name)
        self.owners[model] = Owner(table_field, key_field)

    def closed_to_uploads(self, *closed: Model) -> None:
        """These synced models may not be uploaded."""
        self.closed.update(closed)

    def server(self, **facts: Any) -> None:
        """What clients are told of the server: the fields of ServerInfo."""
        self.info = ServerInfo(**facts)

    def string(self, task: str, name: str, value: str, *, language: str = "") -> None:
        """A text for clients. Told twice, the later counts."""
        self.strings = [one for one in self.strings if (one.task, one.name, one.language) != (task, name, language)]
        self.strings.append(ExtraString(task, name, value, language))

    def id_numbers_in(
        self, model: Model, *, owner: Model, owner_field: str, which_field: str, value_field: str
    ) -> None:
        """Where id numbers are kept that old clients send inside the owner's row."""
        self.id_number_table = IdNumberTable(model, owner, owner_field, which_field, value_field)

    def root_of(self, label: str) -> Root:
        """The root of that model's label. Raises RootNotRegistered."""
        root = self.roots.get(label.lower())
        if root is None:
            raise RootNotRegistered(model=label)
        return root


registry = Registry()


class AllowedTable(NamedTuple):
    """A table that may be uploaded, and the oldest client that may."""

    table: MirrorTable
    min_client_version: str


def allowed_tables() -> dict[str, AllowedTable]:
    """By `db_table`: the synced models that are not closed to uploads."""
    return {
        table.source._meta.db_table: AllowedTable(table, min_client_version(table.source) or NO_MINIMUM)
        for table in mirror_tables()
        if table.source not in registry.closed
    }
