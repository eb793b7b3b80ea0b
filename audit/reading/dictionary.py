"""The data dictionary: every mirror table, column by column, and who writes it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

from django.db import connections

from audit.mirror.columns import MirrorRow
from audit.mirror.tables import MirrorTable, mirror_tables

DEVICE = "the device"
ENGINE = "the server, on commit"
PRESERVING = "the server, on preserving"
ERASING = "the server, on erasing"

MEANINGS = {
    "mirror_pk": (ENGINE, "Number of the version, rising."),
    "mirror_device": (ENGINE, "Device that delivered the record."),
    "mirror_era": (PRESERVING, "NOW, or the moment at which the device's records were preserved."),
    "mirror_current": (ENGINE, "Whether this is the record's present version."),
    "mirror_predecessor": (ENGINE, "Number of the version before."),
    "mirror_successor": (
        ENGINE,
        "Number of the version after; empty for the last one, also of a deleted record.",
    ),
    "mirror_added_at": (ENGINE, "Committed timeline: since when this server held the version."),
    "mirror_removed_at": (ENGINE, "Committed timeline: until when."),
    "mirror_captured_at": (
        DEVICE,
        "Captured timeline: effective moment of the change that made the version.",
    ),
    "mirror_removed_captured_at": (
        DEVICE,
        "Captured timeline: effective moment of the change that ended it.",
    ),
    "mirror_utc_offset": (DEVICE, "Local time minus UTC where it was captured, in minutes."),
    "mirror_captured_by": (DEVICE, "User who made the change."),
    "mirror_captured_reason": (DEVICE, "Why, where a reason was given."),
    "mirror_captured_on": (DEVICE, "Producer: device, host and database."),
    "mirror_removed_captured_by": (DEVICE, "User who ended the version, by a change or a delete."),
    "mirror_removed_captured_reason": (DEVICE, "Why it was ended."),
    "mirror_removed_captured_on": (DEVICE, "Producer of the change that ended it."),
    "mirror_added_by": (ENGINE, "Who committed the version on the server."),
    "mirror_removed_by": (ENGINE, "Who committed its end on the server."),
    "mirror_preserved_by": (PRESERVING, "Who preserved the record."),
    "mirror_forcibly_preserved": (PRESERVING, "Whether the server did so without the device asking."),
    "mirror_erased": (ERASING, "Whether the content was erased."),
    "mirror_erased_at": (ERASING, "When."),
    "mirror_erased_by": (ERASING, "By whom."),
    "mirror_erased_reason": (ERASING, "Why."),
    "mirror_app_version": (ENGINE, "Version of the app that delivered it."),
    "mirror_source": (ENGINE, "Batch, upload or correction it came from (audit.Source)."),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One column of one mirror table."""

    model: str
    table: str
    column: str
    field: str
    type: str
    meaning: str
    written_by: str


def data_dictionary(alias: str) -> list[Entry]:
    """All columns of all mirror tables, with the types of the database `alias`."""
    return [entry for table in mirror_tables() for entry in table_entries(table, alias)]


def table_entries(table: MirrorTable, alias: str) -> Iterator[Entry]:
    own = {field.name for field in MirrorRow._meta.local_fields}
    for field in table.mirror._meta.local_concrete_fields:
        written_by, meaning = MEANINGS[field.name] if field.name in own else (DEVICE, field_meaning(table, field.name))
        yield Entry(
            model=table.label,
            table=table.name,
            column=str(field.column),
            field=field.name,
            type=field.db_type(connections[alias]) or "",
            meaning=meaning,
            written_by=written_by,
        )


def field_meaning(table: MirrorTable, name: str) -> str:
    """The field's own words, and what it refers to."""
    field: Any = table.source._meta.get_field(name)
    words = [str(field.verbose_name)]
    if field.help_text:
        words.append(str(field.help_text))
    if field.is_relation:
        words.append(f"refers to {field.remote_field.model._meta.label}")
    if field.choices:
        words.append("one of: " + ", ".join(f"{value} = {label}" for value, label in field.flatchoices))
    if name == table.key:
        words.append("the record's key on the device")
    return "; ".join(words)


def as_markdown(entries: list[Entry]) -> str:
    lines: list[str] = []
    table = ""
    for entry in entries:
        if entry.table != table:
            table = entry.table
            lines += [
                *([""] if lines else []),
                f"## {entry.model} (`{table}`)",
                "",
                "| column | field | type | meaning | written by |",
                "|---|---|---|---|---|",
            ]
        cells = (entry.column, entry.field, entry.type, entry.meaning, entry.written_by)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def as_csv(entries: list[Entry]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Entry)])
    writer.writeheader()
    writer.writerows(asdict(entry) for entry in entries)
    return text.getvalue().rstrip("\r\n")


def as_json(entries: list[Entry]) -> str:
    return json.dumps([asdict(entry) for entry in entries], indent=2, ensure_ascii=False)


FORMATS: dict[str, Callable[[list[Entry]], str]] = {"md": as_markdown, "csv": as_csv, "json": as_json}
