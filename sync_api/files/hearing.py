"""On the side that receives: what a batch tells of files is remembered, in the transaction that stores the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from sync_api.conf import alias_settings
from sync_api.files.fields import AT_ONCE, name_digest
from sync_api.models import FileFact
from sync_api.recipients.own import own_private_keys
from sync_api.wire.files import is_files
from sync_api.wire.header import Header
from sync_api.wire.opening import Keys, Opener, opened_line
from sync_api.wire.sealed_payloads import Place, open_files, open_group


@dataclass(frozen=True, slots=True)
class Heard:
    """One file that a batch tells of: the line that names it, the field's place in it, and what it is."""

    line: int
    place: int
    sha256: str
    size: int
    media_type: str
    is_sealed: bool


def keep_told(alias: str, header: Header, lines: Sequence[bytes]) -> int:
    """Remember what this batch tells of files; how many. Call inside the transaction that stores it; again is no harm.

    What is sealed to others stays unknown here. An entry that points at no file's name says nothing.
    """
    if not header.files and not header.sealed_files:
        return 0
    keys = own_private_keys(alias_settings(alias).device) if header.sealed_files else {}
    facts = list(facts_of(header, lines, keys))
    FileFact.objects.using(alias).bulk_create(facts, batch_size=AT_ONCE, ignore_conflicts=True)
    return len(facts)


def facts_of(header: Header, lines: Sequence[bytes], keys: Keys) -> Iterator[FileFact]:
    members = {name: getattr(header, name) for name in ("device", "epoch", "number", "models", "sealed")}
    opener = Opener(members, keys) if header.sealed and keys else None
    rows: dict[int, tuple[Any, Any]] = {}
    for heard in (*told_openly(header), *told_sealed(header, keys)):
        if heard.line not in rows:
            rows[heard.line] = model_and_values(lines[heard.line], heard.line, opener if heard.is_sealed else None)
        model, values = rows[heard.line]
        if not is_name_at(heard.place, values):
            continue
        described = header.models[model]
        yield FileFact(
            device=header.device,
            epoch=header.epoch,
            number=header.number,
            label=described["label"],
            field=described["fields"][heard.place][0][:100],
            name_digest=name_digest(values[heard.place]),
            sha256=heard.sha256,
            size=heard.size,
            media_type=heard.media_type,
            is_sealed=heard.is_sealed,
        )


def told_openly(header: Header) -> Iterator[Heard]:
    for entry in header.files:
        yield heard_from(entry, is_sealed=False)


def heard_from(entry: list[Any], *, is_sealed: bool) -> Heard:
    line, place, sha256, size, media_type = entry
    return Heard(line, place, sha256, size, media_type, is_sealed)


def told_sealed(header: Header, keys: Keys) -> Iterator[Heard]:
    """What is sealed to this installation; the sender's mistake there is as if it had said nothing."""
    place = Place(header.device, header.epoch, header.number)
    for index, text in header.sealed_files:
        group = open_group(header.sealed[index], place, keys)
        entries: Any = None if group is None else open_files(group, place, text)
        if is_files(entries):
            for entry in entries:
                if entry[0] < header.count:
                    yield heard_from(entry, is_sealed=True)


def model_and_values(raw: bytes, index: int, opener: Opener | None) -> tuple[Any, Any]:
    """The model's number and the values of a line; (None, None) for one that is erased or cannot be read."""
    if opener is not None:
        raw = opened_line(opener, index, raw)
    try:
        line = orjson.loads(raw)
    except ValueError:
        return None, None
    return (line[1], line[8]) if isinstance(line, list) and len(line) >= 9 else (None, None)


def is_name_at(place: int, values: Any) -> bool:
    return isinstance(values, list) and place < len(values) and isinstance(values[place], str) and values[place] != ""
