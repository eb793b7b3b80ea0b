"""Received batches, laid directly into the inbox's tables: what the deserializer finds after accepting."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import models

from audit.fields import from_microseconds
from audit.models import Device
from sync_api.models import IncomingBatch, IncomingEpoch, IncomingTransaction
from sync_api.schema import describe

START = 1_780_000_000_000_000


@dataclass
class Line:
    action: str
    model: type[models.Model]
    values: dict[str, Any]
    previous_pk: str | None = None
    baseline: bool = False


def insert(model: type[models.Model], **values: Any) -> Line:
    return Line("I", model, values)


def update(model: type[models.Model], **values: Any) -> Line:
    return Line("U", model, values)


def delete(model: type[models.Model], **values: Any) -> Line:
    return Line("D", model, values)


def baseline(model: type[models.Model], **values: Any) -> Line:
    return Line("I", model, values, baseline=True)


@dataclass
class Laptop:
    """A device whose batches are received on `alias`. A unit is a list of lines."""

    alias: str
    name: str = "laptop-9"
    storage: str = "sqlite"
    app: str = "1.0.0"
    moment: int = START
    step: int = 1_000_000
    epochs: int = 0
    descriptions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.device = Device.objects.using(self.alias).create(name=self.name)
        self.begin()

    def begin(self, **began: Any) -> None:
        self.epochs += 1
        self.epoch = IncomingEpoch.objects.using(self.alias).create(
            device=self.device,
            epoch=f"{self.device.pk:016x}{self.epochs:016x}",
            ordinal=self.epochs,
            began=began or {"kind": "fresh"},
        )

    def describe(self, model: type[models.Model]) -> dict[str, Any]:
        label = model._meta.label_lower
        return self.descriptions.get(label) or describe(model, self.storage).description

    def deliver(self, *units: list[Line], state: str = "held") -> IncomingBatch:
        """One batch of these units, each `step` microseconds after the one before."""
        epoch = self.epoch
        described = {line.model: self.describe(line.model) for unit in units for line in unit}
        lines = [(number, line) for number, unit in enumerate(units) for line in unit]
        batch = IncomingBatch.objects.using(self.alias).create(
            epoch=epoch,
            number=epoch.head_number + 1,
            hash=f"{epoch.ordinal}-{epoch.head_number + 1}",
            state=state,
            header={"storage": self.storage, "app": self.app, "models": list(described.values())},
            content=b"",
            size=0,
            lines=len(lines),
            first_sequence=epoch.sequence + 1,
            received_from=self.name,
        )
        places = {model: place for place, model in enumerate(described)}
        rows = []
        for place, (unit, line) in enumerate(lines):
            values = [line.values.get(name) for name, _, _ in described[line.model]["fields"]]
            moment = from_microseconds(self.moment + unit * self.step)
            rows.append(
                IncomingTransaction(
                    batch=batch,
                    sequence=batch.first_sequence + place,
                    unit=unit,
                    model_index=places[line.model],
                    tx_name=described[line.model]["label"],
                    action=line.action,
                    tx_pk=str(line.values[described[line.model]["pk"]]),
                    previous_pk=line.previous_pk,
                    payload=orjson.dumps(values).decode(),
                    is_baseline=line.baseline,
                    user="ada",
                    reason=None,
                    producer=f"{self.name}/host/default",
                    captured_at=moment,
                    effective_at=moment,
                    utc_offset=120,
                )
            )
        IncomingTransaction.objects.using(self.alias).bulk_create(rows)
        self.moment += len(units) * self.step
        epoch.head_number += 1
        epoch.sequence += len(lines)
        epoch.save(using=self.alias, update_fields=["head_number", "sequence"])
        return batch
