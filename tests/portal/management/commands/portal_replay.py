"""On a laptop: make every revision of a table, as saves and deletes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sync_api.capture import sync_context
from tests.portal.models import MODELS
from tests.portal.revisions import Table, apply_revision


class Command(BaseCommand):
    help = "Replays FILE. Prints {revision, moment} per revision. --step: waits for a line before each."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--database", default="default")
        parser.add_argument("--step", action="store_true")

    def handle(self, *, file: Path, database: str, step: bool, **options: Any) -> None:
        table = Table.open(file)
        model = MODELS[table.name]
        for revision in table.revisions():
            if step and not sys.stdin.readline():
                return
            with sync_context(user="portal", reason=f"revision {revision.number}"):
                moment = apply_revision(model, table.key, revision, using=database)
            self.stdout.write(json.dumps({"revision": revision.number, "moment": moment}))
            self.stdout.flush()
