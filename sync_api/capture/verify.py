"""Whether capture is whole: asked by the system check and before every push."""

from __future__ import annotations

from sync_api.capture.install import (
    captured_tables,
    columns_of,
    definitions,
    installed,
    missing_columns,
)
from sync_api.conf import alias_settings
from sync_api.exceptions import BaselineMissing, CaptureBroken
from sync_api.models import LocalDevice
from sync_api.schema import synced_models


def capture_problems(alias: str) -> list[str]:
    """One sentence per missing, stale or disabled trigger; empty when capture is whole or not wanted here."""
    if not alias_settings(alias).capture:
        return []
    found = installed(alias)
    problems = []
    standing = columns_of(alias)
    for model in synced_models():
        missing = missing_columns(model, standing)
        if missing is None:
            problems.append(f"{model._meta.label_lower} has no table yet")
        elif missing:
            problems.append(f"{model._meta.label_lower} has no column {missing[0]} yet")
    for captured in captured_tables(alias, create=False):
        label = captured.schema.label
        if not captured.schema_id:
            problems.append(f"{label} has changed since its triggers were installed")
            continue
        for trigger in definitions(alias, captured):
            body = found.get(trigger.name)
            if body is None:
                problems.append(f"{label} has no trigger {trigger.name}")
            elif body != trigger.body:
                problems.append(f"{label} has a stale or disabled trigger {trigger.name}")
    return problems


def baseline_missing(alias: str) -> list[str]:
    """Labels of models whose rows from before capture are not recorded yet."""
    settings = alias_settings(alias)
    if not settings.capture:
        return []
    # of this one column alone: a check before `migrate` meets the table as an older release left it
    found = LocalDevice.objects.using(alias).filter(name=settings.device).values_list("baselines", flat=True)
    return sorted(label for baselines in found for label, state in baselines.items() if not state["done"])


def require_whole_capture(alias: str) -> None:
    """CaptureBroken or BaselineMissing, each with its remedy; nothing when all is well."""
    problems = capture_problems(alias)
    if problems:
        raise CaptureBroken(alias=alias, problems=problems)
    missing = baseline_missing(alias)
    if missing:
        raise BaselineMissing(alias=alias, models=missing)
