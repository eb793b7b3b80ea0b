"""Records that are only asked about: read as an upload reads them, then as Django's fields give them back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from sync_api import conf
from sync_api.exceptions import FieldReserved, FieldUnknown, Refusal
from sync_api.uploads.state import Row
from sync_api.uploads.tables import MOVE_OFF, TableForm, form_of, tables_by_name
from sync_api.uploads.values import binary, decode, references

UNKNOWN_TABLE = "no such table takes uploads"
UNKNOWN_FIELD = "no such field"
RESERVED_FIELD = "only the server writes this field"
WRONG_VALUE = "the field cannot hold this value"
TWICE = "this key stands twice"
TOO_MANY = "too many records for one question"
NO_OBJECT = "the record is no object"


def read_records(
    alias: str, tables: Mapping[str, Sequence[Any]]
) -> tuple[dict[type[models.Model], list[Row]], list[Refusal]]:
    """The records by model, and what is refused before any validator sees them. Reads and writes nothing."""
    rows: dict[type[models.Model], list[Row]] = {}
    refusals: list[Refusal] = []
    known = tables_by_name()
    left = int(conf.limit("SYNC_VALIDATE_RECORDS_MAX"))
    for name, records in tables.items():
        table = known.get(name)
        if table is None:
            refusals.append(Refusal(name[:100], None, UNKNOWN_TABLE))
            continue
        form = form_of(alias, table)
        left -= len(records)
        if left < 0:
            refusals.append(Refusal(form.table.label, None, TOO_MANY))
            break
        held = rows.setdefault(form.table.source, [])
        for record in records:
            row, found = read_record(form, record)
            refusals.extend(found)
            if row is not None:
                held.append(row)
        refusals.extend(repeated(form, held))
    return rows, refusals


def read_record(form: TableForm, record: Any) -> tuple[Row | None, list[Refusal]]:
    """One record. With a refusal, there is no row: validators never see what could not be stored."""
    if not isinstance(record, dict):
        return None, [Refusal(form.table.label, None, NO_OBJECT)]
    values: dict[str, Any] = dict.fromkeys(form.table.columns)
    wrong: list[tuple[str, str]] = []
    for name, value in record.items():
        if name == MOVE_OFF and name not in form.places:
            continue
        try:
            place = form.place(name)
        except (FieldUnknown, FieldReserved) as error:
            wrong.append((name[:100], RESERVED_FIELD if isinstance(error, FieldReserved) else UNKNOWN_FIELD))
            continue
        try:
            values[form.table.columns[place]] = read_value(form, place, value)
        except ValueError:
            wrong.append((form.table.columns[place], WRONG_VALUE))
    key = values[form.table.key]
    told = key if key is None or isinstance(key, int) else str(key)
    refusals = [Refusal(form.table.label, told, reason, field) for field, reason in wrong]
    return (None if refusals else Row(key, values)), refusals


def read_value(form: TableForm, place: int, value: Any) -> Any:
    """The value as the mirror would read it back. Raises ValueError where an upload would refuse it."""
    if value is None:
        return None
    _, bad = decode(form.decoders[place], [value])
    if bad is not None:
        raise ValueError
    field: Any = form.table.source._meta.get_field(form.table.columns[place])
    if field.is_relation and isinstance(value, list):
        return references([value])[0]
    while field.is_relation:
        field = field.target_field
    kind = field.get_internal_type()
    if kind == "BinaryField":
        return binary(value)
    if kind == "DurationField" and isinstance(value, int):
        return timedelta(microseconds=value)
    if kind == "JSONField":
        return value
    try:
        return field.to_python(value)
    except ValidationError as error:
        raise ValueError from error


def repeated(form: TableForm, rows: Sequence[Row]) -> Iterator[Refusal]:
    seen: set[Any] = set()
    for key, _ in rows:
        if key is not None and key in seen:
            yield Refusal(form.table.label, key if isinstance(key, int) else str(key), TWICE)
        seen.add(key)
