"""The laptop's manifest against what came here: present, missing, differing; with the next step in plain words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from django.utils import timezone

from sync_api.exceptions import ManifestOfAnother
from sync_api.reconciliation.chosen import bounds_of, reconciled_labels
from sync_api.reconciliation.manifest import Manifest
from sync_api.reconciliation.received import Received, received
from sync_api.reconciliation.records import Record

PRESENT, MISSING, DIFFERING, EXTRA = "present", "missing", "differing", "extra"
STATUSES = (MISSING, DIFFERING, EXTRA, PRESENT)
ACTIONS = {"I": "new", "U": "changed", "D": "deleted"}


@dataclass(frozen=True, slots=True)
class Line:
    """One record. `note` says why it is missing or differs, or what became of it here."""

    status: str
    label: str
    name: str
    pk: str
    action: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`made_at` is None where only what was received is listed. `chain` is same, behind, ahead, differs or none."""

    device: str
    day: str
    made_at: datetime | None
    chain: str
    number_here: int
    number_there: int
    unsealed_there: int
    lines: list[Line]
    counts: dict[str, dict[str, int]]
    unreadable: dict[str, int]
    next_steps: list[str]

    @property
    def is_whole(self) -> bool:
        """Nothing that the laptop told of is missing or different here."""
        bad = sum(own[MISSING] + own[DIFFERING] for own in self.counts.values())
        return self.made_at is not None and not bad and self.chain in ("same", "ahead") and not self.unsealed_there

    def total(self, status: str) -> int:
        return sum(own[status] for own in self.counts.values())


def compare(alias: str, device: str, *, day: date | None = None, manifest: Manifest | None = None) -> Comparison:
    """What came of `device` on `day` (with a manifest: on its day, by the laptop's clock). Reads only.

    Raises ManifestOfAnother for a manifest of another device or day than asked for.
    """
    if manifest is None:
        day = day or timezone.localdate()
        begin, end = bounds_of(day)
        told = received(alias, device, reconciled_labels(), begin, end)
        lines = [line_of(told, PRESENT, record) for record in told.records.values()]
        return made(told, str(day), lines, None, reconciled_labels())
    if manifest.device != device:
        raise ManifestOfAnother(found=f"device '{manifest.device}'", asked=f"device '{device}'")
    if day is not None and manifest.day != day.isoformat():
        raise ManifestOfAnother(found=manifest.day, asked=day.isoformat())
    told = received(alias, device, manifest.models, manifest.begin, manifest.end)
    return made(told, manifest.day, list(compared(told, manifest)), manifest, manifest.models)


def compared(told: Received, manifest: Manifest) -> Iterator[Line]:
    named = set()
    for record in manifest.records:
        named.add(record.identity)
        here = told.records.get(record.identity)
        if here is None:
            yield line_of(told, MISSING, record, why_missing(told, manifest, record))
        elif (here.sha256, here.action) != (record.sha256, record.action):
            yield line_of(told, DIFFERING, record, why_differing(record, here))
        else:
            yield line_of(told, PRESENT, record)
    for identity, here in told.records.items():
        if identity not in named:
            yield line_of(told, EXTRA, here, "It is not in the manifest: it came after the manifest was made.")


def line_of(told: Received, status: str, record: Record, note: str = "") -> Line:
    code = told.parked.get(record.identity)
    if not note and code and (record.epoch, record.number) in told.consumed:
        note = f"Received, and set aside in this mirror ({code}): see `parked list`."
    return Line(status, record.label, record.name, record.pk, ACTIONS[record.action], note)


def why_missing(told: Received, manifest: Manifest, record: Record) -> str:
    if record.number is None:
        return "It was not sealed yet when the manifest was made: pull again."
    if (record.epoch, record.number) not in told.hashes:
        return f"Batch {record.number} is not here: pull again, or ask who else carried it."
    return f"Batch {record.number} is here without it. Do not wipe the laptop; call the data manager."


def why_differing(record: Record, here: Record) -> str:
    if record.number is None:
        return "An older state is here: pull again."
    if record.epoch == here.epoch and here.number is not None and here.number != record.number:
        if here.number < record.number:
            return "An older state is here: pull again."
        return "A newer state is here: it was changed after the manifest was made. Make a new manifest."
    return "The same batch holds another content. Do not wipe the laptop; call the data manager."


def chain_of(told: Received, manifest: Manifest) -> str:
    """How the batches here stand to the last one that the laptop sealed."""
    if not manifest.number:
        return "same"
    hashes = told.hashes.get((manifest.epoch, manifest.number))
    if hashes is None:
        return "behind"
    if manifest.hash not in hashes or len(hashes) > 1:
        return "differs"
    return "ahead" if told.head(manifest.epoch) > manifest.number else "same"


def made(told: Received, day: str, lines: list[Line], manifest: Manifest | None, labels: list[str]) -> Comparison:
    counts = {label: Counter(line.status for line in lines if line.label == label) for label in labels}
    epoch = manifest.epoch if manifest else (told.epochs[-1] if told.epochs else "")
    unreadable = dict(told.unreadable)
    for label, number in (manifest.unreadable if manifest else {}).items():
        unreadable[label] = max(number, unreadable.get(label, 0))
    chain = chain_of(told, manifest) if manifest else "none"
    return Comparison(
        device=told.device,
        day=day,
        made_at=manifest.at if manifest else None,
        chain=chain,
        number_here=told.head(epoch),
        number_there=manifest.number if manifest else 0,
        unsealed_there=manifest.unsealed if manifest else 0,
        lines=sorted(lines, key=lambda line: (STATUSES.index(line.status), line.label, line.name)),
        counts={label: {status: own[status] for status in STATUSES} for label, own in counts.items()},
        unreadable=unreadable,
        next_steps=list(next_steps(told, manifest, chain, lines, unreadable)),
    )


def next_steps(
    told: Received, manifest: Manifest | None, chain: str, lines: list[Line], unreadable: dict[str, int]
) -> Iterator[str]:
    """What to do before leaving, most urgent first."""
    if manifest is None:
        yield "Fetch the laptop's manifest to see whether anything is missing."
        return
    if chain == "differs":
        yield (
            f"Batch {manifest.number} of this laptop came in another version: the laptop was copied or set back. "
            "Do not wipe it; call the data manager."
        )
    if manifest.unsealed:
        yield f"{manifest.unsealed} changes on the laptop are in no batch yet: pull again, then make a new manifest."
    if chain == "behind":
        yield f"Batch {manifest.number} of the laptop is not here (here: {told.head(manifest.epoch)}): pull again."
    elif gaps := told.gaps(manifest.epoch, manifest.number):
        yield f"Batches {', '.join(map(str, gaps[:10]))} are not here. Unless another relay has them, pull again."
    if any(line.note.endswith("call the data manager.") for line in lines):
        yield "Some records are not as the laptop says. Do not wipe the laptop; call the data manager."
    if unreadable:
        yield "Of the models that are sealed to others only the batches can be compared here."
    if not any(line.status in (MISSING, DIFFERING) for line in lines) and chain in ("same", "ahead"):
        yield "Everything in the manifest is here." + ("" if manifest.unsealed else " You can leave.")


def comparison_facts(comparison: Comparison) -> dict[str, Any]:
    """For `--json`."""
    return {**asdict(comparison), "is_whole": comparison.is_whole}
