"""On the relay: what was received from a laptop today, against the laptop's own signed manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api.client.reconcile import fetch_manifest
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json
from sync_api.reconciliation.chosen import read_day
from sync_api.reconciliation.comparing import STATUSES, Comparison, compare, comparison_facts
from sync_api.reconciliation.inspecting import inspect, is_inspecting
from sync_api.reconciliation.manifest import Manifest, check_manifest, read_manifest_file


class Command(BaseCommand):
    help = "Compare what was received from a laptop on a day with the laptop's manifest: present, missing, differing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("device", help="The laptop's device name.")
        source = parser.add_mutually_exclusive_group()
        source.add_argument("--manifest", metavar="FILE", help="The file that reconcile_manifest wrote.")
        source.add_argument("--laptop", metavar="URL", help="Fetch the manifest from the laptop.")
        parser.add_argument("--day", default="", metavar="YYYY-MM-DD", help="Which day (default: the manifest's).")
        parser.add_argument("--allow-http", action="store_true", help="Allow http:// to another machine.")
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        alias = options["database"]
        with plain_errors():
            day = read_day(options["day"]) if options["day"] else None
            manifest = self.manifest(alias, day, options)
            if is_inspecting():
                inspect(alias, options["device"])
            comparison = compare(alias, options["device"], day=day, manifest=manifest)
        said = to_json(comparison_facts(comparison)) if options["json"] else told(comparison)
        if comparison.made_at is None or comparison.is_whole:
            return said
        self.stdout.write(said)
        raise CommandError(f"Not everything of {comparison.device} is here yet. {comparison.next_steps[0]}")

    def manifest(self, alias: str, day: Any, options: dict[str, Any]) -> Manifest | None:
        if options["laptop"]:
            return fetch_manifest(alias, options["laptop"], day=day, allow_http=options["allow_http"])
        if options["manifest"]:
            return check_manifest(alias, read_manifest_file(Path(options["manifest"])))
        return None


def told(comparison: Comparison) -> str:
    """The report for people: counts per model, every record that is not simply present, and what to do."""
    head = f"{comparison.device}, {comparison.day}"
    if comparison.made_at is not None:
        head += f", manifest of {comparison.made_at:%H:%M %Z}"
    lines = [f"{head}."]
    for label, counts in comparison.counts.items():
        words = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
        sealed = comparison.unreadable.get(label)
        lines.append(f"  {label}: {words or 'none'}" + (f"; {sealed} sealed to others" if sealed else "") + ".")
    shown = comparison.lines if comparison.made_at is None else [line for line in comparison.lines if line.note]
    lines += [f"  {line.status}: {line.label} {line.name} ({line.action}). {line.note}".rstrip() for line in shown]
    return "\n".join([*lines, *comparison.next_steps])
