"""From received lines to the engine's changes: compiled once per model description, then column by column."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import orjson
from django.apps import apps
from django.db import DatabaseError, connections, models

from audit.engine import Change, Stamp
from audit.exceptions import NotMirrored
from audit.mirror.tables import MirrorTable, table_for
from sync_api.deserializer import troubles
from sync_api.deserializer.columns import Column, Decode, decode, decoder_for
from sync_api.deserializer.lines import Line
from sync_api.deserializer.troubles import Trouble
from sync_api.deserializer.unsealing import sealed_troubles
from sync_api.schema.versions import too_old

logger = logging.getLogger(__name__)

DECODERS_MAX = 4_096


@dataclass(frozen=True, slots=True)
class FieldDecoder:
    """One column of the mirror: its place in the payload, or None where an older device does not have it."""

    field: str
    place: int | None
    decode: Decode


@dataclass(frozen=True, slots=True)
class ModelDecoder:
    """How rows of one described model become changes. With a `trouble`, none of them can."""

    label: str
    width: int
    referred: tuple[tuple[int, str], ...]
    """Places in the payload that hold another synced record's key, with its model's label."""
    trouble: Trouble | None
    table: MirrorTable | None = None
    fields: tuple[FieldDecoder, ...] = ()
    key: int = 0
    """The key's place in `fields`."""


class Decoded(NamedTuple):
    """`changes[i]` is what line i asks for, or None where `troubles[i]` says why there is none."""

    changes: list[Change | None]
    troubles: dict[int, Trouble]
    decoders: list[ModelDecoder]


def decode_lines(alias: str, header: dict[str, Any], lines: Sequence[Line]) -> Decoded:
    """Decode the lines of a batch with this header for database `alias`. Reads and writes nothing."""
    decoders = [
        decoder_or_failure(alias, header["storage"], header["app"], description) for description in header["models"]
    ]
    sealed = sealed_troubles(alias, header, lines)
    decoded = Decoded([None] * len(lines), dict(sealed), decoders)
    groups: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
    for number, line in enumerate(lines):
        groups[line.model_index, "B" if line.is_baseline else line.action].append(number)
    for (model_index, action), numbers in groups.items():
        if sealed:
            numbers = [number for number in numbers if number not in sealed]
        decode_group(decoded, decoders[model_index], action, lines, numbers)
    return decoded


def decoder_or_failure(alias: str, storage: str, app: str, description: dict[str, Any]) -> ModelDecoder:
    """The model's decoder; one with a trouble where making it fails (the study's own class is asked): the units of
    other models go on."""
    try:
        return model_decoder(alias, storage, app, orjson.dumps(description))
    except DatabaseError:
        raise
    except Exception as error:
        kind = type(error).__name__
        logger.error("a model's decoder cannot be made", extra={"model": description["label"], "kind": kind})
        return ModelDecoder(description["label"], 0, (), troubles.failed_model(description["label"], kind))


def decode_group(
    decoded: Decoded, decoder: ModelDecoder, action: Any, lines: Sequence[Line], numbers: list[int]
) -> None:
    table = decoder.table
    if decoder.trouble or table is None:
        decoded.troubles.update(zip(numbers, repeat(decoder.trouble or troubles.unknown_model(decoder.label))))
        return
    if action not in ACTIONS:
        for number in numbers:
            decoded.troubles[number] = troubles.unsupported_action(decoder.label, lines[number].tx_pk, action)
        return
    numbers, rows = parse(decoded, decoder, lines, numbers)
    if not numbers:
        return
    columns = list(zip(*rows, strict=True))
    if action == "D":
        values: Any = repeat(None)
        keys = decode_field(decoded, decoder, decoder.fields[decoder.key], columns, lines, numbers)
    else:
        decoded_columns = [decode_field(decoded, decoder, field, columns, lines, numbers) for field in decoder.fields]
        values = zip(*decoded_columns, strict=True)
        keys = decoded_columns[decoder.key]
    stamps = map(Stamp._make, map(STAMP, map(lines.__getitem__, numbers)))
    changes = map(Change, repeat(action), repeat(table), keys, values, stamps)
    if len(numbers) == len(lines):
        decoded.changes[:] = changes
    else:
        for number, change in zip(numbers, changes, strict=False):
            decoded.changes[number] = change
    for number in decoded.troubles.keys() & set(numbers) if decoded.troubles else ():
        decoded.changes[number] = None


ACTIONS = frozenset("IUDB")
PAYLOAD = attrgetter("payload")
STAMP = itemgetter(*range(Line._fields.index("moment"), len(Line._fields)))
"""A line's last values are a stamp's, in its order."""


def parse(
    decoded: Decoded, decoder: ModelDecoder, lines: Sequence[Line], numbers: list[int]
) -> tuple[list[int], list[list[Any]]]:
    """The payloads of these lines. Lines whose payload is no row of the described width get their trouble."""
    width = decoder.width
    try:
        rows = list(map(orjson.loads, map(PAYLOAD, map(lines.__getitem__, numbers))))
        if set(map(type, rows)) == {list} and set(map(len, rows)) == {width}:
            return numbers, rows
    except (ValueError, TypeError):
        pass
    good: list[int] = []
    rows = []
    for number in numbers:
        line = lines[number]
        row = parse_one(line.payload) if line.payload is not None else erased_row(decoder, line.tx_pk)
        if isinstance(row, list) and len(row) == width:
            good.append(number)
            rows.append(row)
        else:
            decoded.troubles[number] = troubles.wrong_payload(decoder.label, lines[number].tx_pk)
    return good, rows


def erased_row(decoder: ModelDecoder, key: str) -> list[Any]:
    """The row of an erased line: its key, and nothing else."""
    row: list[Any] = [None] * decoder.width
    field = decoder.fields[decoder.key]
    assert field.place is not None, "a decoder without trouble knows its key"
    assert decoder.table is not None, "asked for a table that is known"
    is_number = isinstance(mirror_field(decoder.table, field.field), models.IntegerField)
    row[field.place] = int(key) if is_number else key
    return row


def parse_one(payload: str | None) -> Any:
    try:
        return None if payload is None else orjson.loads(payload)
    except ValueError:
        return None


def decode_field(
    decoded: Decoded,
    decoder: ModelDecoder,
    field: FieldDecoder,
    columns: list[tuple[Any, ...]],
    lines: Sequence[Line],
    numbers: list[int],
) -> Column:
    if field.place is None:
        return [None] * len(numbers)
    is_key = field is decoder.fields[decoder.key]
    values, bad = decode(field.decode, columns[field.place], nullable=not is_key)
    for place in bad:
        trouble = troubles.wrong_value(decoder.label, lines[numbers[place]].tx_pk, field.field)
        decoded.troubles.setdefault(numbers[place], trouble)
    return values


@lru_cache(maxsize=DECODERS_MAX)
def model_decoder(alias: str, storage: str, app_version: str, description: bytes) -> ModelDecoder:
    """Compile the decoder of one described model (JSON, as in a batch's header) for database `alias`."""
    described = orjson.loads(description)
    label, fields = described["label"], described["fields"]
    referred = tuple((place, refers) for place, (_, _, refers) in enumerate(fields) if refers)

    def without(trouble: Trouble) -> ModelDecoder:
        return ModelDecoder(label, len(fields), referred, trouble)

    try:
        model: Any = apps.get_model(label)
        table = table_for(model)
    except (LookupError, ValueError, NotMirrored):
        return without(troubles.unknown_model(label))
    too_old = version_trouble(table, app_version)
    if too_old:
        return without(too_old)
    places = {name: place for place, (name, _, _) in enumerate(fields)}
    unknown = [name for name in places if name not in table.columns]
    if unknown:
        return without(troubles.unknown_field(label, unknown[0]))
    if table.key not in places:
        return without(troubles.unknown_field(label, described["pk"]))
    compiled: list[FieldDecoder] = []
    for name in table.columns:
        place = places.get(name)
        if place is None:
            compiled.append(FieldDecoder(name, None, absent))
            continue
        kind = fields[place][1]
        found = decoder_for(mirror_field(table, name), kind, storage, connections[alias])
        if found is None:
            return without(troubles.other_kind(label, name, kind))
        compiled.append(FieldDecoder(name, place, found))
    key = table.columns.index(table.key)
    return ModelDecoder(label, len(fields), referred, None, table, tuple(compiled), key)


def absent(column: Column) -> Column:
    return [None] * len(column)


def mirror_field(table: MirrorTable, name: str) -> models.Field[Any, Any]:
    field = table.mirror._meta.get_field(name)
    assert isinstance(field, models.Field)
    return field


def version_trouble(table: MirrorTable, app_version: str) -> Trouble | None:
    """`min_client_version` on the source model: older devices' units wait."""
    wanted = too_old(app_version, table.source)
    return None if wanted is None else troubles.client_too_old(table.label, app_version, wanted)
