"""On the side that seals: which files a batch's rows name, and what is told of them.

What a name means was fixed when the file was saved (`StoredName`: given once, never again). A file in a storage of
another kind, or one that was there before, is taken into the content store now; such a storage can give a name to
other bytes, so what was told of it is compared each time it is named. A file that cannot be found is unknown: nothing
is told, and it is remembered here as unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import orjson
from django.core.exceptions import SuspiciousOperation
from django.db import models

from sync_api.exceptions import FileTooLarge
from sync_api.files.fields import AT_ONCE, file_fields, in_parts, name_digest, places_of
from sync_api.files.storage import ContentStorage, media_type_of
from sync_api.files.store import ContentStore
from sync_api.models import CaptureSchema, FileFact, StoredName
from sync_api.wire.sealed_payloads import Group, Place, seal_files

DELETE = "D"


class CapturedRow(Protocol):
    """What is read of a captured row."""

    @property
    def schema_id(self) -> int: ...
    @property
    def action(self) -> str: ...
    @property
    def payload(self) -> str: ...


class Named(NamedTuple):
    """A field of a model, and the name of a file in it."""

    label: str
    field: str
    name: str


@dataclass(frozen=True, slots=True)
class ToldFile:
    """One file to tell of: the first row that names it and the field's place there. Unknown where `sha256` is empty."""

    line: int
    place: int
    named: Named
    sha256: str
    size: int
    media_type: str

    @property
    def entry(self) -> list[Any]:
        return [self.line, self.place, self.sha256, self.size, self.media_type]


def told_files(alias: str, device: str, epoch: str, rows: Sequence[CapturedRow]) -> list[ToldFile]:
    """What to tell of the files that these rows name, in their order. Reads; takes foreign files into the store."""
    if not file_fields():
        return []
    named = dict(named_files(alias, rows))
    if not named:
        return []
    told = already_told(alias, device, epoch, named)
    stored = stored_names(alias, {one.name for one in named})
    files = (
        told_file(alias, one, line, place, field, stored.get(one.name), told.get(one))
        for one, (line, place, field) in named.items()
    )
    return [file for file in files if file is not None]


def named_files(alias: str, rows: Sequence[CapturedRow]) -> Iterator[tuple[Named, tuple[int, int, models.FileField]]]:
    """Each file with the first row that names it."""
    schemas = CaptureSchema.objects.using(alias).in_bulk({row.schema_id for row in rows})
    places = {pk: places_of(schema.description) for pk, schema in schemas.items()}
    seen: set[Named] = set()
    for line, row in enumerate(rows):
        if not places.get(row.schema_id) or row.action == DELETE or not row.payload:
            continue
        values = orjson.loads(row.payload)
        for place, field in places[row.schema_id]:
            if isinstance(values[place], str) and values[place]:
                named = Named(schemas[row.schema_id].description["label"], field.name, values[place])
                if named not in seen:
                    seen.add(named)
                    yield named, (line, place, field)


def already_told(alias: str, device: str, epoch: str, named: Iterable[Named]) -> dict[Named, FileFact]:
    """The last word about each of these in this epoch."""
    by_digest = {(one.label, one.field, name_digest(one.name)): one for one in named}
    found: dict[Named, FileFact] = {}
    facts = FileFact.objects.using(alias).filter(device=device, epoch=epoch).order_by("number")
    for digests in in_parts({key[2] for key in by_digest}):
        for fact in facts.filter(name_digest__in=digests):
            one = by_digest.get((fact.label, fact.field, fact.name_digest))
            if one is not None:
                found[one] = fact
    return found


def stored_names(alias: str, names: Iterable[str]) -> dict[str, StoredName]:
    found: dict[str, StoredName] = {}
    for some in in_parts(names):
        rows = StoredName.objects.using(alias).filter(name__in=some)
        found.update((row.name, row) for row in rows)
    return found


def told_file(
    alias: str,
    named: Named,
    line: int,
    place: int,
    field: models.FileField,
    stored: StoredName | None,
    told: FileFact | None,
) -> ToldFile | None:
    """What to tell of one file; None when it was told."""
    is_fixed = stored is not None or isinstance(field.storage, ContentStorage)
    if is_fixed and told is not None and told.sha256:
        return None
    if stored is not None:
        found = ToldFile(line, place, named, stored.sha256, stored.size, stored.media_type)
    else:
        found = taken_in(alias, named, line, place, field)
    return None if told is not None and told.sha256 == found.sha256 else found


def taken_in(alias: str, named: Named, line: int, place: int, field: models.FileField) -> ToldFile:
    """A file that is not in the store yet, read from its field's storage; unknown when it is not there."""
    try:
        with field.storage.open(named.name) as file:
            kept = ContentStore(alias).take(file.chunks())
    except (OSError, ValueError, SuspiciousOperation, FileTooLarge):
        return ToldFile(line, place, named, "", 0, "")
    return ToldFile(line, place, named, kept.sha256, kept.size, media_type_of(named.name))


def files_members(
    told: Sequence[ToldFile], place: Place, groups: Sequence[Group], models_of_lines: Sequence[int]
) -> dict[str, Any]:
    """The header's members `files` and `sealed_files`, each only where it says something."""
    known = [file for file in told if file.sha256 and file.line < len(models_of_lines)]
    group_of = {model: index for index, group in enumerate(groups) for model in group.facts["models"]}
    plain = [file.entry for file in known if models_of_lines[file.line] not in group_of]
    sealed = [
        [index, seal_files(group, place, entries)]
        for index, group in enumerate(groups)
        if (entries := [file.entry for file in known if group_of.get(models_of_lines[file.line]) == index])
    ]
    return {**({"files": plain} if plain else {}), **({"sealed_files": sealed} if sealed else {})}


def remember_told(
    alias: str, device: str, epoch: str, number: int, told: Sequence[ToldFile], header: dict[str, Any]
) -> None:
    """Remember what batch `number` told. Call inside the sealing transaction."""
    if not told:
        return
    plain = {(line, place) for line, place, *_ in header.get("files", [])}
    FileFact.objects.using(alias).bulk_create(
        [
            FileFact(
                device=device,
                epoch=epoch,
                number=number,
                label=file.named.label,
                field=file.named.field,
                name_digest=name_digest(file.named.name),
                sha256=file.sha256,
                size=file.size,
                media_type=file.media_type,
                is_sealed=bool(file.sha256) and (file.line, file.place) not in plain,
            )
            for file in told
        ],
        batch_size=AT_ONCE,
        ignore_conflicts=True,
    )
