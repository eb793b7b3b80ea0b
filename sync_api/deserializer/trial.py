"""A dry run of a retry: what would be released, found by doing it and taking all of it back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import transaction

from sync_api import conf
from sync_api.deserializer.claim import claimed
from sync_api.deserializer.listing import counted, list_text, list_units, unit_line
from sync_api.deserializer.report import DeviceReport
from sync_api.deserializer.retry import chosen_devices, retry_device


@dataclass(frozen=True, slots=True)
class Trial:
    """One device's units that a retry would apply, and those it would leave parked, with the cause as it is now."""

    device: str
    would_release: list[dict[str, Any]] = field(default_factory=list)
    would_stay: list[dict[str, Any]] = field(default_factory=list)
    is_busy: bool = False
    error: str = ""


def try_out(
    alias: str, unit_id: int | None = None, *, device: str | None = None, cause: str | None = None
) -> list[Trial]:
    """What `retry_parked` of the same units would do. Changes nothing; takes as long, and holds each device's claim
    for its part. ParkedUnitUnknown."""
    return [
        trial(alias, pk, name, only) for pk, name, only in chosen_devices(alias, unit_id, device=device, cause=cause)
    ]


def trial(alias: str, device_id: int, name: str, only: Any) -> Trial:
    committed_by = conf.alias_settings(alias).device
    with claimed(alias, device_id) as device:
        if device is None:
            return Trial(name, is_busy=True)
        report = DeviceReport(name)
        before = list_units(alias, name)
        retry_device(alias, device_id, report, committed_by=committed_by, only=only)
        after = list_units(alias, name)
        transaction.set_rollback(True, using=alias)
    still = {unit["id"] for unit in after}
    return Trial(name, [unit for unit in before if unit["id"] not in still], after, error=report.error)


def trial_text(trials: list[Trial]) -> str:
    released = [unit for one in trials for unit in one.would_release]
    stay = [unit for one in trials for unit in one.would_stay]
    lines = [f"{counted(len(released))} would be applied, {len(stay)} would stay parked. Nothing was changed."]
    lines.extend(f"{one.device}: another consumer is at it; try again." for one in trials if one.is_busy)
    lines.extend(f"{one.device}: {one.error}" for one in trials if one.error)
    lines.extend(unit_line({**unit, "text": "would be applied."}) for unit in released)
    if stay:
        lines.append(list_text(stay))
    return "\n".join(lines)


def trial_facts(trials: list[Trial]) -> dict[str, Any]:
    """For `--json`."""
    return {
        "dry_run": True,
        "would_release": sum(len(one.would_release) for one in trials),
        "would_stay": sum(len(one.would_stay) for one in trials),
        "devices": [asdict(one) for one in trials],
    }
