"""On a middleman: remove carried batches that a server's verified backup contains."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json
from sync_api.relay.purging import purge_carried


class Command(BaseCommand):
    help = "Remove the carried batches that a server's durable receipt covers. All others stay."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be removed.")
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        with plain_errors():
            report = purge_carried(options["database"], dry_run=options["dry_run"])
        if options["json"]:
            return to_json(asdict(report))
        would = "Would remove" if options["dry_run"] else "Removed"
        return (
            f"{would} {report.removed} carried batches ({report.removed_bytes} bytes) that are in a server's "
            f"verified backup; {report.kept} stay."
        )
