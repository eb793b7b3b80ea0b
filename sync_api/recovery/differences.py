"""What the baseline of a device's newest epoch lacks of its records in the mirror, and where it differs.

A device restored from an older copy begins a new epoch with a baseline of what it has. What it lost is still in the
mirror, unchanged; here it is named, so that people can decide.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError

from audit.engine import Key
from audit.mirror.columns import NOW
from audit.mirror.tables import MirrorTable, mirror_tables
from audit.models import Device, TableChanges
from sync_api.exceptions import DeviceNotRegistered
from sync_api.models import IncomingEpoch, IncomingTransaction, ParkedUnit

DIFFERS = "baseline_differs"


@dataclass(frozen=True, slots=True)
class Differences:
    """`missing`: by model label, the keys of current records that the newest epoch does not know. `differing`: the
    parked units whose baseline differs. `is_restored` is False while the device is in an epoch begun fresh."""

    device: str
    epoch: str
    is_restored: bool
    missing: dict[str, list[str]] = field(default_factory=dict)
    differing: list[dict[str, Any]] = field(default_factory=list)
    keys: dict[MirrorTable, set[Key]] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        return {label: len(keys) for label, keys in self.missing.items()}


def device_differences(alias: str, name: str) -> Differences:
    """Compare the device's newest epoch with the mirror. Reads only. DeviceNotRegistered.

    Everything received must be consumed first; a parked baseline or change counts as known.
    """
    device = Device.objects.using(alias).filter(name=name).first()
    if device is None:
        raise DeviceNotRegistered(device=name, alias=alias)
    epoch = IncomingEpoch.objects.using(alias).filter(device=device).order_by("-ordinal").first()
    if epoch is None or epoch.began.get("kind") != "continues":
        return Differences(name, "" if epoch is None else epoch.epoch, is_restored=False)
    written = set(TableChanges.objects.using(alias).filter(device=device).order_by().values_list("model", flat=True))
    missing = {}
    found: dict[MirrorTable, set[Key]] = {}
    for table in mirror_tables():
        if table.label in written:
            keys = current_keys(alias, table, device) - told_keys(alias, table, epoch)
            if keys:
                found[table] = keys
                missing[table.label] = sorted(map(str, keys))
    parked = ParkedUnit.objects.using(alias).filter(device=device, state=ParkedUnit.State.PARKED, code=DIFFERS)
    differing: list[dict[str, Any]] = [dict(unit) for unit in parked.values("id", "tx_name", "tx_pk")]
    return Differences(name, epoch.epoch, is_restored=True, missing=missing, differing=differing, keys=found)


def current_keys(alias: str, table: MirrorTable, device: Device) -> set[Key]:
    """Keys of the current records of the device that are not preserved."""
    rows = table.mirror._default_manager.using(alias).filter(mirror_device=device, mirror_era=NOW, mirror_current=True)
    return {table.canonical_key(key) for key in rows.values_list(table.key, flat=True).iterator()}


def told_keys(alias: str, table: MirrorTable, epoch: IncomingEpoch) -> set[Key]:
    """Keys of records of which the epoch's transactions speak. Parked changes may speak of other records, which the
    device made under keys that lost ones have here; of those it still has its baseline tells."""
    lines = IncomingTransaction.objects.using(alias).filter(batch__epoch=epoch, tx_name=table.label)
    lines = lines.exclude(is_baseline=False, is_error=True)
    return set(canonical(table, lines.order_by().values_list("tx_pk", flat=True).distinct().iterator()))


def canonical(table: MirrorTable, keys: Iterator[str]) -> Iterator[Key]:
    for key in keys:
        with suppress(ValidationError):  # a key that does not fit the model is parked, and no record of the mirror's
            yield table.canonical_key(key)
