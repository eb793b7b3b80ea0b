"""On a server: compare the mirror as of each revision's moment with the file."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tests.portal.models import MODELS
from tests.portal.revisions import Table, state


class Command(BaseCommand):
    help = "Compares every revision of FILE with the mirror as of its moment (MOMENTS: a JSON list)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("moments", type=Path)
        parser.add_argument("--device", required=True)
        parser.add_argument("--timeline", choices=["captured", "committed"], default="captured")
        parser.add_argument("--database", default="default")

    def handle(self, *, file: Path, moments: Path, device: str, timeline: str, database: str, **options: Any) -> str:
        table = Table.open(file)
        mirror = MODELS[table.name].mirror
        wrong = []
        known = json.loads(moments.read_text())
        for revision, moment in zip(table.revisions(), known, strict=True):
            rows = mirror.using(database).for_device(device).as_of(datetime.fromisoformat(moment), timeline)
            if state(rows, table, revision) != (revision.rows, revision.sha256):
                wrong.append(revision.number)
        if wrong:
            raise CommandError(f"{table.name}: revisions {wrong} of {len(known)} differ on the {timeline} timeline.")
        return f"{table.name}: {len(known)} revisions equal on the {timeline} timeline."
