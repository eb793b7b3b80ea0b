"""What older clients do otherwise: hooks by the client's version, applied to each table before it is uploaded.

| clients | what they do | source |
|---|---|---|
| before 2.0.4 | do not name the primary key: it is the first field | the seed: "special code to handle old tablet software" |
| before 2.0.4 | send id numbers inside the patient's row (`idnum1`, `iddesc1`, `idshortdesc1`, ...) | the seed: process_upload_record_special |
"""  # noqa: E501 (a table)

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from semantic_version import SimpleSpec

from sync_api.exceptions import WireMalformed
from sync_api.schema.versions import read_version
from sync_api.uploads.registry import IdNumberTable, registry
from sync_api.uploads.tables import MODIFIED, MOVE_OFF

ID_NUMBERS_MAX = 8
"""Old clients have this many, numbered from 1."""

_NUMBER = re.compile(r"idnum([1-8])")
_DESCRIPTION = re.compile(r"id(?:short)?desc[1-8]")


@dataclass(frozen=True, slots=True)
class TablePart:
    """Rows of one table as the wire gave them. `key_name` is None where the client did not say it."""

    table: str
    key_name: str | None
    fields: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True, slots=True)
class KeyPart:
    """Keys that one table holds on the client."""

    table: str
    keys: list[Any]


RowsHook: TypeAlias = Callable[[TablePart], list[TablePart]]
KeysHook: TypeAlias = Callable[[KeyPart], list[KeyPart]]


@dataclass(frozen=True, slots=True)
class Quirk:
    """For clients whose version fits `versions`: what is done to their rows, and to their lists of keys."""

    versions: SimpleSpec
    rows: RowsHook | None = None
    keys: KeysHook | None = None

    def fits(self, client: str) -> bool:
        version = read_version(client)
        return version is not None and self.versions.match(version)


def first_field_is_the_key(part: TablePart) -> list[TablePart]:
    if part.key_name is None and part.fields:
        return [replace(part, key_name=part.fields[0])]
    return [part]


def id_numbers_become_rows(part: TablePart) -> list[TablePart]:
    """The owner's row without its id numbers, and a row of the registered table for each that is there."""
    held = registry.id_number_table
    if held is None or part.table != held.owner._meta.db_table:
        return [part]
    numbers = {place: int(found[1]) for place, name in enumerate(part.fields) if (found := _NUMBER.fullmatch(name))}
    extra = {place for place, name in enumerate(part.fields) if _DESCRIPTION.fullmatch(name)}
    kept = [place for place in range(len(part.fields)) if place not in numbers and place not in extra]
    owner = replace(
        part, fields=[part.fields[place] for place in kept], rows=[[row[place] for place in kept] for row in part.rows]
    )
    return [owner, id_number_rows(held, part, numbers)]


def id_number_rows(held: IdNumberTable, part: TablePart, numbers: dict[int, int]) -> TablePart:
    """Keys are made from the owner's, so that the same number has the same key in every upload."""
    if part.key_name not in part.fields:
        raise WireMalformed(what=f"the table {held.owner._meta.db_table} has no column for its key")
    key_place = part.fields.index(part.key_name)
    shared = [name for name in shared_columns(held) if name in part.fields]
    places = [part.fields.index(name) for name in shared]
    columns = [column_of(held, name) for name in ("pk", held.owner_field, held.which_field, held.value_field)]
    rows = [
        [derived_key(row[key_place], which), row[key_place], which, row[place], *(row[one] for one in places)]
        for row in part.rows
        for place, which in numbers.items()
        if row[place] is not None
    ]
    return TablePart(held.model._meta.db_table, columns[0], [*columns, *shared], rows)


def shared_columns(held: IdNumberTable) -> list[str]:
    """What an id number's row takes over from its owner's: when it was changed, and whether it leaves the era."""
    known = {str(field.column) for field in held.model._meta.local_concrete_fields}
    modified = str(getattr(held.model, "uploads_modified_field", MODIFIED))
    return [MOVE_OFF, *([modified] if modified in known else [])]


def column_of(held: IdNumberTable, name: str) -> str:
    field: Any = held.model._meta.pk if name == "pk" else held.model._meta.get_field(name)
    return str(field.column)


def derived_key(owner: Any, which: int) -> int:
    if not isinstance(owner, int):
        raise WireMalformed(what="an old client's patient has a key that is no whole number")
    return owner * ID_NUMBERS_MAX + which


def id_numbers_go_with_their_owner(part: KeyPart) -> list[KeyPart]:
    held = registry.id_number_table
    if held is None or part.table != held.owner._meta.db_table:
        return [part]
    derived = [derived_key(owner, which) for owner in part.keys for which in range(1, ID_NUMBERS_MAX + 1)]
    return [part, KeyPart(held.model._meta.db_table, derived)]


BEFORE_2_0_4 = SimpleSpec("<2.0.4")

QUIRKS: tuple[Quirk, ...] = (
    Quirk(BEFORE_2_0_4, rows=first_field_is_the_key),
    Quirk(BEFORE_2_0_4, rows=id_numbers_become_rows, keys=id_numbers_go_with_their_owner),
)
"""In the order in which they are applied."""


def upgraded_rows(client: str, part: TablePart) -> list[TablePart]:
    """What a client of today would have sent in place of this."""
    parts = [part]
    for quirk in QUIRKS:
        if quirk.rows is not None and quirk.fits(client):
            parts = [new for one in parts for new in quirk.rows(one)]
    return parts


def upgraded_keys(client: str, part: KeyPart) -> list[KeyPart]:
    """The same for a list of keys."""
    parts = [part]
    for quirk in QUIRKS:
        if quirk.keys is not None and quirk.fits(client):
            parts = [new for one in parts for new in quirk.keys(one)]
    return parts
