"""From SQL literals' values to the forms in which uploads take them, column by column."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from sync_api.compat.camcops.literals import Value
from sync_api.compat.camcops.quirks import TablePart
from sync_api.exceptions import ClientKeyMissing, ValueWrong, WireMalformed
from sync_api.uploads.tables import MOVE_OFF, TableForm, find_forms


def rows_of(alias: str, part: TablePart, *, app_version: str) -> tuple[TableForm, dict[str, Any]]:
    """The table and its rows, as `upload_table` takes them. Raises what is wrong with names, key or values."""
    (form,) = find_forms(alias, [part.table], app_version=app_version)
    check_key_name(form, part.key_name)
    if part.key_name not in part.fields:
        raise ClientKeyMissing(table=form.name, field=form.key_name)
    columns: list[Sequence[Any]] = list(zip(*part.rows, strict=True))
    if columns:
        columns = [column_of(form, name, column) for name, column in zip(part.fields, columns, strict=True)]
    return form, {"fields": part.fields, "rows": list(map(list, zip(*columns, strict=True)))}


def check_key_name(form: TableForm, key_name: str | None) -> None:
    if key_name is None:
        raise WireMalformed(what="the field 'pkname' is missing")
    if key_name != form.key_name:
        raise WireMalformed(what=f"'pkname' is not {form.key_name}, the key of {form.name}")


def column_of(form: TableForm, name: str, column: Sequence[Value]) -> Sequence[Any]:
    """One column's values. A name that is not there is left to the upload to refuse."""
    if name == MOVE_OFF and name not in form.places:
        return column
    place = form.places.get(name)
    if place is None:
        form.place(name)
        raise AssertionError("an unknown name is refused")
    field = form.table.columns[place]
    mirror: Any = form.table.mirror._meta.get_field(field)
    source: Any = form.table.source._meta.get_field(field)
    kind = mirror.get_internal_type()
    if source.name in getattr(form.table.source, "sync_references", {}):
        kind = "JSONField"  # a natural key travels as a list
    convert = CONVERT.get(kind, other)
    told = []
    for row, value in enumerate(column):
        try:
            told.append(None if value is None else convert(value))
        except (ValueError, RecursionError) as error:
            raise ValueWrong(table=form.name, field=field, row=row) from error
    return told


def other(value: Value) -> Any:
    """A blob is for binary columns only; a number with a point is for columns of such numbers."""
    if isinstance(value, bytes | Decimal):
        raise ValueError
    return value


def binary(value: Value) -> Any:
    if not isinstance(value, bytes):
        raise ValueError
    return value


def decimal(value: Value) -> Any:
    if isinstance(value, bytes):
        raise ValueError
    return str(value) if isinstance(value, Decimal) else value


def floating(value: Value) -> Any:
    if isinstance(value, bytes):
        raise ValueError
    return float(value) if isinstance(value, Decimal) else value


def parsed(value: Value) -> Any:
    if not isinstance(value, str):
        raise ValueError
    return json.loads(value)


CONVERT: dict[str, Callable[[Value], Any]] = {
    "BinaryField": binary,
    "DecimalField": decimal,
    "FloatField": floating,
    "JSONField": parsed,
}
"""By the mirror field's internal type; any other takes the literal's value as it is."""
