"""The received log folded by plain Python: what the mirror must hold, version by version.

It shares nothing with the deserializer and the engine: no sets, no plans, one line after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import orjson
from django.apps import apps

from audit.fields import to_microseconds
from audit.mirror.tables import mirror_tables
from audit.models import Device
from sync_api.models import IncomingBatch, IncomingEpoch, IncomingTransaction, ParkedUnit
from sync_api.schema.decoding import read_value
from sync_api.simulation.truth import compared_fields, key_text, plain
from sync_api.wire.marks import MARK

Values: TypeAlias = tuple[Any, ...]
Record: TypeAlias = tuple[str, str]
"""(model's label, key as text). A record goes on from era to era."""


class Version(NamedTuple):
    """One version of a record: its values, and the captured moments at which it began and ended."""

    values: Values
    begun: int
    ended: int | None
    may_be: bool = False
    """Told again as it was: a version only if the one before it stands in a preserved era."""

    def is_at(self, moment: int) -> bool:
        return self.begun <= moment and (self.ended is None or self.ended > moment)


@dataclass(slots=True)
class Folded:
    """What the fold found. `problems` are lines that were applied though they could not be."""

    versions: dict[Record, list[Version]] = field(default_factory=dict)
    floors: dict[Record, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    lines: int = 0


def fold(alias: str, device: Device) -> Folded:
    """Fold everything of one device that counts as applied, in the order in which the device made it."""
    folded = Folded()
    for epoch in IncomingEpoch.objects.using(alias).filter(device=device).order_by("ordinal"):
        batches = IncomingBatch.objects.using(alias).filter(epoch=epoch, state=IncomingBatch.State.CONSUMED)
        for batch in batches.order_by("number").defer("content"):
            for line in applied_lines(alias, batch):
                fold_line(folded, line, batch)
    return folded


def applied_lines(alias: str, batch: IncomingBatch) -> Iterator[IncomingTransaction]:
    lines = IncomingTransaction.objects.using(alias).filter(batch=batch, is_consumed=True).exclude(action=MARK)
    yield from lines.order_by("sequence")


def fold_line(folded: Folded, line: IncomingTransaction, batch: IncomingBatch) -> None:
    folded.lines += 1
    record = (line.tx_name, line.tx_pk)
    versions = folded.versions.setdefault(record, [])
    is_there = bool(versions) and versions[-1].ended is None
    moment = max(to_microseconds(line.effective_at), folded.floors.get(record, 0))
    where = f"line {line.sequence} of batch {batch.number} ({line.action} {line.tx_name} {line.tx_pk})"
    if line.is_baseline and is_there and not is_accepted(line):
        if values_of(line, batch) != versions[-1].values:
            folded.problems.append(f"{where} was passed over as identical, and is not")
        versions[-1] = versions[-1]._replace(ended=moment)
        versions.append(Version(versions[-1].values, moment, None, may_be=True))
        return
    if (line.action == "I") is is_there and not (line.is_baseline and is_there):
        folded.problems.append(f"{where} was applied, though its record was {'' if is_there else 'not '}there")
        return
    if is_there:
        versions[-1] = versions[-1]._replace(ended=moment)
    if line.action != "D":
        versions.append(Version(values_of(line, batch), moment, None))
    folded.floors[record] = moment


def is_accepted(line: IncomingTransaction) -> bool:
    """Whether an operator took this baseline as the next version."""
    units = ParkedUnit.objects.using(line._state.db).filter(batch=line.batch_id, unit=line.unit)
    return units.exclude(accepted_by="").exists()


def values_of(line: IncomingTransaction, batch: IncomingBatch) -> Values:
    """The line's values as Python reads them, without those that the laptop's table holds otherwise."""
    description = batch.header["models"][line.model_index]
    model = apps.get_model(line.tx_name)
    if line.payload is None:  # erased: the key is all that stays
        own = model._meta.pk
        return tuple(plain(own.to_python(line.tx_pk)) if field is own else None for field in compared_fields(model))
    raw = dict(zip([name for name, _, _ in description["fields"]], orjson.loads(line.payload or "null"), strict=True))
    kinds = {name: kind for name, kind, _ in description["fields"]}
    return tuple(
        plain(read_value(kinds[field.name], raw[field.name], target(field), batch.header["storage"]))
        for field in compared_fields(model)
    )


def target(field: Any) -> Any:
    return field.target_field if field.is_relation else field


def as_held(expected: list[Version], held: list[Version]) -> list[Version]:
    """The expected versions, with those that may be only where they are held."""
    kept: list[Version] = []
    for version in expected:
        there = held[len(kept)] if len(kept) < len(held) else None
        is_held = there is not None and (there.values, there.begun) == (version.values, version.begun)
        if version.may_be and not is_held:
            kept[-1] = kept[-1]._replace(ended=version.ended)
        else:
            kept.append(version._replace(may_be=False))
    return kept


def mirrored(alias: str, device: Device) -> dict[Record, list[Version]]:
    """What the mirror holds of a device, in the same form."""
    found: dict[Record, list[Version]] = {}
    for table in mirror_tables():
        names = [field.name for field in compared_fields(table.source)]
        columns = [table.key, "mirror_captured_at", "mirror_removed_captured_at", *names]
        rows = table.mirror.objects.using(alias).filter(mirror_device=device)
        for key, begun, ended, *values in rows.order_by("mirror_pk").values_list(*columns):
            record = (table.label, key_text(key))
            version = Version(
                tuple(map(plain, values)), to_microseconds(begun), None if ended is None else to_microseconds(ended)
            )
            found.setdefault(record, []).append(version)
    return found


def as_of(alias: str, device: Device, moment: Any) -> dict[Record, Values]:
    """A past state, as the product answers it."""
    found: dict[Record, Values] = {}
    for table in mirror_tables():
        names = [field.name for field in compared_fields(table.source)]
        rows = table.mirror.objects.using(alias).as_of(moment).filter(mirror_device=device)
        for key, *values in rows.values_list(table.key, *names):
            record = (table.label, key_text(key))
            if record in found:
                raise AssertionError(f"{' '.join(record)} is there twice as of {moment}")
            found[record] = tuple(map(plain, values))
    return found
