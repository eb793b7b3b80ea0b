"""Whether capture is whole: asked by the system check and before every push."""

from __future__ import annotations

from typing import Any

from django.db import connections

from sync_api.capture.definitions import PREFIX
from sync_api.capture.install import captured_tables, definitions
from sync_api.conf import alias_settings
from sync_api.exceptions import BaselineMissing, CaptureBroken
from sync_api.models import LocalDevice


def capture_problems(alias: str) -> list[str]:
    """One sentence per missing, stale or disabled trigger; empty when capture is whole or not wanted here."""
    if not alias_settings(alias).capture:
        return []
    found = installed(alias)
    problems = []
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


def installed(alias: str) -> dict[str, str]:
    """What stands in the database, by name, verbatim. A PostgreSQL function whose triggers are not all there
    and ENABLE ALWAYS counts as changed."""
    connection: Any = connections[alias]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, 11) = %s",
                [f"{PREFIX}_"],
            )
            return dict(cursor.fetchall())
        cursor.execute(
            "SELECT p.proname, p.prosrc, count(t.oid) FILTER (WHERE t.tgenabled = 'A') FROM pg_proc AS p"
            " JOIN pg_namespace AS n ON n.oid = p.pronamespace LEFT JOIN pg_trigger AS t ON t.tgfoid = p.oid"
            " WHERE n.nspname = current_schema() AND starts_with(p.proname, %s) GROUP BY p.oid, p.proname, p.prosrc",
            [f"{PREFIX}_"],
        )
        found = {}
        for name, body, enabled in cursor.fetchall():
            expected = 1 if name.startswith(f"{PREFIX}_truncate_") else 3
            found[name] = body if enabled == expected else f"{enabled} of {expected} triggers enabled"
        return found


def baseline_missing(alias: str) -> list[str]:
    """Labels of models whose rows from before capture are not recorded yet."""
    settings = alias_settings(alias)
    if not settings.capture:
        return []
    device = LocalDevice.objects.using(alias).filter(name=settings.device).first()
    if device is None:
        return []
    return sorted(label for label, state in device.baselines.items() if not state["done"])


def require_whole_capture(alias: str) -> None:
    """CaptureBroken or BaselineMissing, each with its remedy; nothing when all is well."""
    problems = capture_problems(alias)
    if problems:
        raise CaptureBroken(alias=alias, problems=problems)
    missing = baseline_missing(alias)
    if missing:
        raise BaselineMissing(alias=alias, models=missing)
