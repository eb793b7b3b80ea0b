"""Which bytes a version's file field means, and whether they are here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.db.models import Count, Exists, OuterRef, Q

from audit.models import Source
from sync_api.files.fields import file_fields, in_parts, name_digest
from sync_api.files.store import held
from sync_api.models import FileFact

State = Literal["none", "here", "pending", "unknown"]

WORDS: dict[str, str] = {
    "none": "no file",
    "here": "here",
    "pending": "file pending: its bytes have not come yet",
    "unknown": "unknown file: the device could not say which bytes it is",
}


@dataclass(frozen=True, slots=True)
class FileState:
    """What is known of one version's file. none: the field is empty; pending: the bytes have not come; unknown: the
    device told nothing of it that can be read here."""

    state: State
    name: str = ""
    sha256: str = ""
    size: int = 0
    media_type: str = ""

    @property
    def words(self) -> str:
        return WORDS[self.state]


@dataclass(frozen=True, slots=True)
class Completeness:
    """Of one device: how many files its records name, how many are here, and the bytes of both."""

    device: str
    files: int
    here: int
    unknown: int = 0

    @property
    def pending(self) -> int:
        return self.files - self.here

    @property
    def facts(self) -> dict[str, int]:
        return {"files": self.files, "here": self.here, "pending": self.pending, "unknown": self.unknown}


def file_of(alias: str, version: Any, field: str) -> FileState:
    """The file of one mirror version's field."""
    return files_of(alias, [version], field)[version.mirror_pk]


def files_of(alias: str, versions: Sequence[Any], field: str) -> dict[int, FileState]:
    """By mirror_pk: the file of each version's field. The number of statements grows with the page, not the row."""
    named = {version.mirror_pk: str(getattr(version, field) or "") for version in versions}
    if not any(named.values()):
        return dict.fromkeys(named, FileState("none"))
    label = versions[0].mirror_of._meta.label_lower
    facts = facts_about(alias, label, field, {name for name in named.values() if name})
    told_in = batches_of(alias, {version.mirror_source for version in versions})
    found = {
        version.mirror_pk: meant(
            facts.get((told_device(version), name_digest(named[version.mirror_pk])), ()), told_in, version
        )
        for version in versions
        if named[version.mirror_pk]
    }
    here = held_among(alias, {fact.sha256 for fact in found.values() if fact is not None})
    return {pk: state_of(name, found.get(pk), here) for pk, name in named.items()}


def told_device(version: Any) -> str:
    return str(version.mirror_device.name)


def facts_about(
    alias: str, label: str, field: str, names: Iterable[str]
) -> dict[tuple[str, str], tuple[FileFact, ...]]:
    """By device and name: what was told, oldest first."""
    found: dict[tuple[str, str], tuple[FileFact, ...]] = {}
    facts = FileFact.objects.using(alias).filter(label=label, field=field).exclude(sha256="").order_by("id")
    for digests in in_parts({name_digest(name) for name in names}):
        for fact in facts.filter(name_digest__in=digests):
            place = fact.device, fact.name_digest
            found[place] = (*found.get(place, ()), fact)
    return found


def batches_of(alias: str, sources: Iterable[int | None]) -> dict[int, tuple[str, int]]:
    """By source: the epoch and number of its batch. Uploads and corrections are in none."""
    rows = Source.objects.using(alias).filter(pk__in=[pk for pk in sources if pk], kind=Source.Kind.BATCH)
    found = {}
    for pk, reference in rows.values_list("pk", "reference"):
        epoch, _, number = reference.partition("/")
        if number.isdigit():
            found[pk] = epoch, int(number)
    return found


def meant(facts: Sequence[FileFact], told_in: dict[int, tuple[str, int]], version: Any) -> FileFact | None:
    """The last word of the version's own epoch up to its batch; of a correction, the last word before it."""
    place = told_in.get(version.mirror_source)
    if place is not None:
        epoch, number = place
        own = [fact for fact in facts if fact.epoch == epoch and fact.number <= number]
        return max(own, key=lambda fact: fact.number, default=None)
    before = [fact for fact in facts if fact.known_at <= version.mirror_added_at]
    return before[-1] if before else None


def held_among(alias: str, hashes: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for part in in_parts(hashes):
        found.update(held(alias).filter(pk__in=part).values_list("pk", flat=True))
    return found


def state_of(name: str, fact: FileFact | None, here: set[str]) -> FileState:
    if not name:
        return FileState("none")
    if fact is None:
        return FileState("unknown", name)
    state: State = "here" if fact.sha256 in here else "pending"
    return FileState(state, name, fact.sha256, fact.size, fact.media_type)


def record_files(alias: str, version: Any) -> dict[str, FileState]:
    """By field: the files of one version."""
    fields = file_fields().get(version.mirror_of._meta.label_lower, {})
    return {field: file_of(alias, version, field) for field in fields}


def completeness(alias: str, devices: Iterable[str] | None = None) -> dict[str, Completeness]:
    """By device: how complete its files are here, of all that its records ever named. One statement."""
    facts = FileFact.objects.using(alias)
    if devices is not None:
        facts = facts.filter(device__in=list(devices))
    here = Exists(held(alias).filter(pk=OuterRef("sha256")))
    rows = (
        facts.annotate(is_here=here)
        .order_by()
        .values("device")
        .annotate(
            files=Count("sha256", filter=~Q(sha256=""), distinct=True),
            here=Count("sha256", filter=Q(is_here=True), distinct=True),
            unknown=Count("pk", filter=Q(sha256="")),
        )
    )
    return {row["device"]: Completeness(row["device"], row["files"], row["here"], row["unknown"]) for row in rows}
