"""From the rows of a request to what the engine is given: checked, column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from audit.engine import Key
from sync_api import conf
from sync_api.exceptions import ClientKeyMissing, ClientKeyTwice, FieldTwice, RowsInvalid, UploadTooLarge, ValueWrong
from sync_api.uploads.tables import MOVE_OFF, TableForm
from sync_api.uploads.values import BAD_VALUE, booleans, decode, instants


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table. All lists are of one length, in the order in which they were sent."""

    keys: list[Key]
    values: list[tuple[Any, ...]]
    modified: list[int | None] | None
    """When the client changed each, in microseconds since 1970 UTC; None where the table has no such column."""
    offsets: dict[int, list[int | None]]
    """By place of a moment's column: its UTC offset in minutes, row by row."""
    moved: list[Key]
    """Keys of the records that leave the era."""


NO_ROWS = Rows([], [], None, {}, [])


def read_rows(form: TableForm, rows: Any) -> Rows:
    """Check and decode rows: a list of objects by column name, or {"fields": [...], "rows": [[...], ...]}.

    A column that a row does not name is null. Reads and writes nothing. Errors: UploadRefused.
    """
    names, told = names_and_rows(form, rows)
    if not told:
        return NO_ROWS
    places = places_of(form, names)
    columns = list(zip(*told, strict=True))
    given = {place: columns[number] for number, place in enumerate(places) if place is not None}
    if form.key not in given:
        raise ClientKeyMissing(table=form.name, field=form.key_name)
    decoded: list[list[Any]] = [
        decoded_column(form, place, given[place]) if place in given else [None] * len(told)
        for place in range(len(form.decoders))
    ]
    keys = checked_keys(form, decoded[form.key])
    whens, offsets = times_of(form, given)
    flags = [column for column, place in zip(columns, places, strict=True) if place is None]
    moved = [key for key, flag in zip(keys, read_flags(form, flags[0]), strict=True) if flag] if flags else []
    return Rows(keys, list(zip(*decoded, strict=True)), whens, offsets, moved)


def names_and_rows(form: TableForm, rows: Any) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    """The names of the columns, and each row's values in their order."""
    is_compact = isinstance(rows, Mapping)
    told = rows.get("rows") if is_compact else rows
    if not isinstance(told, list | tuple):
        raise RowsInvalid(table=form.name, what="they are no list")
    rows_max = int(conf.limit("SYNC_UPLOAD_ROWS_MAX"))
    if len(told) > rows_max:
        raise UploadTooLarge(what="rows", size=len(told), size_max=rows_max, setting="SYNC_UPLOAD_ROWS_MAX")
    return compact(form, rows.get("fields"), told) if is_compact else named(form, told)


def compact(form: TableForm, names: Any, rows: Sequence[Any]) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RowsInvalid(table=form.name, what="'fields' is no list of names")
    if not set(map(type, rows)) <= {list, tuple} or not set(map(len, rows)) <= {len(names)}:
        raise RowsInvalid(table=form.name, what="a row is no list as long as 'fields'")
    return names, rows


def named(form: TableForm, rows: Sequence[Any]) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    if not set(map(type, rows)) <= {dict}:
        raise RowsInvalid(table=form.name, what="a row is no object")
    names = list(rows[0]) if rows else []
    if len(names) > 1 and set(map(len, rows)) == {len(names)}:
        try:
            return names, list(map(itemgetter(*names), rows))
        except KeyError:
            pass
    if not all(form.key_name in row or form.table.key in row for row in rows):
        raise ClientKeyMissing(table=form.name, field=form.key_name)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return names, [[row.get(name) for name in names] for row in rows]


def places_of(form: TableForm, names: Sequence[str]) -> list[int | None]:
    """The place of each name; None for the flag that moves a record off."""
    places = [None if name == MOVE_OFF and name not in form.places else form.place(name) for name in names]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise FieldTwice(table=form.name, field=names[number])
    return places


def decoded_column(form: TableForm, place: int, column: Sequence[Any]) -> list[Any]:
    values, bad = decode(form.decoders[place], column)
    if bad is not None:
        raise ValueWrong(table=form.name, field=form.table.columns[place], row=bad)
    return values


def checked_keys(form: TableForm, keys: list[Key]) -> list[Key]:
    if None in keys:
        raise ClientKeyMissing(table=form.name, field=form.key_name)
    if len(set(keys)) != len(keys):
        seen: dict[Key, int] = {}
        for number, key in enumerate(keys):
            if key in seen:
                raise ClientKeyTwice(table=form.name, rows=(seen[key], number))
            seen[key] = number
    return keys


def times_of(
    form: TableForm, given: Mapping[int, Sequence[Any]]
) -> tuple[list[int | None] | None, dict[int, list[int | None]]]:
    whens = None
    offsets = {}
    for place in form.moments:
        if place in given:
            read, offsets[place] = instants(given[place])
            if place == form.modified:
                whens = read
    return whens, offsets


def read_keys(form: TableForm, keys: Any) -> list[Key]:
    """Check and decode a list of client keys, none of them twice."""
    if not isinstance(keys, list | tuple):
        raise RowsInvalid(table=form.name, what="the keys are no list")
    rows_max = int(conf.limit("SYNC_UPLOAD_ROWS_MAX"))
    if len(keys) > rows_max:
        raise UploadTooLarge(what="keys", size=len(keys), size_max=rows_max, setting="SYNC_UPLOAD_ROWS_MAX")
    return checked_keys(form, decoded_column(form, form.key, keys))


def read_moments(form: TableForm, moments: Any, count: int) -> list[int | None]:
    """Check modification times beside keys: as many, in microseconds since 1970 UTC. Without a list, none is known."""
    if moments is None:
        return [None] * count
    if not isinstance(moments, list | tuple) or len(moments) != count:
        raise RowsInvalid(table=form.name, what="the modification times are no list as long as the keys")
    if form.modified is None:
        return [None] * count
    decoded_column(form, form.modified, moments)
    return instants(moments)[0]


def read_moved(form: TableForm, flags: Any, keys: Sequence[Key]) -> list[Key]:
    """The keys whose flag is set. No list, or an empty one, means none (clients before 2.3.0 send none)."""
    if flags is None or flags == "" or (isinstance(flags, list | tuple) and not flags):
        return []
    if not isinstance(flags, list | tuple) or len(flags) != len(keys):
        raise RowsInvalid(table=form.name, what="the move-off flags are no list as long as the keys")
    return [key for key, flag in zip(keys, read_flags(form, flags), strict=True) if flag]


def read_flags(form: TableForm, flags: Sequence[Any]) -> list[bool]:
    try:
        return booleans([0 if flag is None else flag for flag in flags])
    except BAD_VALUE as error:
        is_flag = [flag is None or (type(flag) in (int, bool) and flag in (0, 1)) for flag in flags]
        bad = is_flag.index(False)
        raise ValueWrong(table=form.name, field=MOVE_OFF, row=bad) from error
