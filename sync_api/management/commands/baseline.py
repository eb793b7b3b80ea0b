"""Records the rows that were there before capture began."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS

from sync_api.capture.baseline import baseline
from sync_api.exceptions import SyncError


class Command(BaseCommand):
    help = "Record existing rows of synced tables as marked inserts. Interrupted, it goes on where it stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS)
        parser.add_argument("--json", action="store_true", help="Report as JSON.")

    def handle(self, *, database: str, **options: Any) -> str:
        try:
            written = baseline(database)
        except SyncError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            return json.dumps({"database": database, "rows": written}, sort_keys=True)
        if not written:
            return "Nothing to do: no rows from before capture are unrecorded."
        lines = [f"{label}: {rows} rows" for label, rows in sorted(written.items())]
        return "\n".join([*lines, f"Recorded {sum(written.values())} rows of {len(written)} tables."])
