"""Which tables a client may send, and what one row of each may hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import connections, models

from audit.mirror.tables import MirrorTable
from sync_api.exceptions import FieldReserved, FieldUnknown, TableTwice, TableUnknown
from sync_api.uploads.devices import check_client_version
from sync_api.uploads.registry import allowed_tables
from sync_api.uploads.values import Decode, decoder_for

MOVE_OFF = "_move_off_tablet"
"""The one name with an underscore that a client may send: this record leaves the era NOW."""

MODIFIED = "when_last_modified"
"""The client's modification time, unless the model names another in `uploads_modified_field`."""


@dataclass(frozen=True, slots=True, eq=False)
class TableForm:
    """One table as a client sends it to one database. Places are those of `table.columns`."""

    table: MirrorTable
    alias: str
    places: dict[str, int]
    """By name on the wire: column, attribute or field name."""
    decoders: tuple[Decode, ...]
    key: int
    modified: int | None
    moments: tuple[int, ...]
    """The columns that hold moments, whose offsets are kept."""

    @property
    def name(self) -> str:
        return self.table.source._meta.db_table

    @property
    def key_name(self) -> str:
        return str(self.table.source._meta.get_field(self.table.key).column)  # type: ignore[union-attr]

    def place(self, name: str) -> int:
        """The column's place. FieldReserved for what the server writes, FieldUnknown for what is not there."""
        place = self.places.get(name)
        if place is not None:
            return place
        raise (FieldReserved if name.startswith("_") else FieldUnknown)(table=self.name, field=name)


def find_form(alias: str, name: object) -> TableForm:
    """The table of that `db_table`, or of that model's label. TableUnknown."""
    known = tables_by_name()
    table = known.get(name) or known.get(name.lower()) if isinstance(name, str) else None
    if table is None:
        raise TableUnknown(table=str(name))
    return form_of(alias, table)


def find_forms(alias: str, names: Iterable[object], *, app_version: str) -> list[TableForm]:
    """Tables by their `db_table` or their model's label, each once. TableUnknown, TableTwice, ClientTooOld."""
    forms = [find_form(alias, name) for name in names]
    seen: set[MirrorTable] = set()
    for form in forms:
        check_client_version(form.table, app_version)
        if form.table in seen:
            raise TableTwice(table=form.name)
        seen.add(form.table)
    return forms


def tables_by_name() -> dict[str, MirrorTable]:
    allowed = allowed_tables()
    return {one.table.label: one.table for one in allowed.values()} | {name: one.table for name, one in allowed.items()}


@cache
def form_of(alias: str, table: MirrorTable) -> TableForm:
    places: dict[str, int] = {}
    decoders = []
    moments = []
    for place, name in enumerate(table.columns):
        source: Any = table.source._meta.get_field(name)
        mirror = table.mirror._meta.get_field(name)
        assert isinstance(mirror, models.Field)
        places |= {name: place, source.attname: place, source.column: place}
        decoders.append(decoder_for(source, mirror, connections[alias]))
        if mirror.get_internal_type() == "DateTimeField":
            moments.append(place)
    key = table.columns.index(table.key)
    modified = places.get(getattr(table.source, "uploads_modified_field", MODIFIED))
    return TableForm(
        table, alias, places, tuple(decoders), key, modified if modified in moments else None, tuple(moments)
    )
