"""Records what was written while the triggers were out."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS

from sync_api.capture.install import install
from sync_api.capture.reconcile import reconcile_capture
from sync_api.exceptions import SyncError


class Command(BaseCommand):
    help = "Install missing triggers, compare the captured log with the tables, and record what was missed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS)
        parser.add_argument("--reason", default="reconcile_capture", help="Recorded with every missed change.")
        parser.add_argument("--dry-run", action="store_true", help="Only tell; record nothing.")
        parser.add_argument("--json", action="store_true", help="Report as JSON.")

    def handle(self, *, database: str, reason: str, dry_run: bool, **options: Any) -> str:
        try:
            if not dry_run:
                install(database)
            missed = reconcile_capture(database, reason=reason, dry_run=dry_run)
        except SyncError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            return json.dumps({"database": database, "dry_run": dry_run, "missed": missed}, sort_keys=True)
        if not missed:
            return "Nothing was missed: the captured log and the tables agree."
        lines = [
            f"{label}: " + ", ".join(f"{count} {name}" for name, count in counts.items() if count)
            for label, counts in sorted(missed.items())
        ]
        closing = "would be recorded" if dry_run else "are recorded now"
        return "\n".join([*lines, f"Missed changes of {len(missed)} tables {closing}."])
