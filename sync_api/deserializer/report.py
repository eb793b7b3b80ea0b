"""What a run of the consumer answers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import Error, OperationalError, ProgrammingError

from audit.models import TableChanges

COUNTS = (
    "batches",
    "transactions",
    "inserted",
    "updated",
    "deleted",
    "identical",
    "preserved",
    "parked",
    "released",
    "parked_open",
)


@dataclass(slots=True)
class DeviceReport:
    """One device's part, in transactions, records (inserted to preserved) and units (parked, released).

    `is_busy`: another consumer had the device, so it was left to that one. `error` says what stopped it.
    """

    device: str
    batches: int = 0
    transactions: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    identical: int = 0
    preserved: int = 0
    parked: int = 0
    released: int = 0
    parked_open: int = 0
    is_busy: bool = False
    error: str = ""

    def add(self, changes: Iterable[TableChanges]) -> None:
        for change in changes:
            self.inserted += change.added
            self.updated += change.modified
            self.deleted += change.deleted
            self.identical += change.identical
            self.preserved += change.preserved

    def merge(self, other: DeviceReport) -> None:
        """Add what another process did for the same device."""
        for count in COUNTS:
            setattr(self, count, getattr(self, count) + getattr(other, count))
        self.parked_open = other.parked_open
        self.is_busy = self.is_busy and other.is_busy
        self.error = self.error or other.error


@dataclass(frozen=True, slots=True)
class ConsumeReport:
    """All devices that had something to consume or to retry."""

    devices: list[DeviceReport] = field(default_factory=list)

    def total(self, count: str) -> int:
        return sum(getattr(device, count) for device in self.devices)

    @property
    def errors(self) -> list[str]:
        return [f"{device.device}: {device.error}" for device in self.devices if device.error]

    @property
    def sentence(self) -> str:
        told = (
            f"Consumed {self.total('transactions')} transactions in {self.total('batches')} batches: "
            f"{self.total('inserted')} inserted, {self.total('updated')} updated, {self.total('deleted')} deleted."
        )
        if self.total("identical"):
            told += f" {self.total('identical')} were there already."
        if self.total("released"):
            told += f" {self.total('released')} parked units applied."
        if self.total("parked_open"):
            told += f" {self.total('parked_open')} units are parked: see `parked list`."
        return told

    def as_json(self) -> str:
        return as_json(self.as_dict())

    @property
    def retried(self) -> str:
        return f"{self.total('released')} parked units applied, {self.total('parked_open')} are still parked."

    def as_dict(self) -> dict[str, Any]:
        return {
            **{count: self.total(count) for count in COUNTS},
            "errors": self.errors,
            "devices": [asdict(device) for device in self.devices],
        }


def as_json(facts: object) -> str:
    return json.dumps(facts, indent=2)


def sentence_of(error: Exception) -> str:
    """The database's word for operators. A refused value's own text may hold the value, so it is left out."""
    kind = type(error).__name__
    if isinstance(error, OperationalError | ProgrammingError):
        lines = str(error).splitlines() or [""]
        return f"{kind}: {lines[0]}. Correct the database (run migrate?), then consume again."
    if isinstance(error, Error):
        return f"{kind}. Correct the database, then consume again."
    return f"{kind}: a batch of this device cannot be applied. Nothing of it was. Report it with the batch's number."
