"""On an inspecting relay: apply what is carried, as far as it may be read, to the relay's own mirror."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json
from sync_api.reconciliation.inspecting import inspect


class Command(BaseCommand):
    help = "Apply carried batches to this relay's own mirror (needs SYNC_INSPECT=true). May be repeated."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--device", help="Only this device's batches.")
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        with plain_errors():
            report = inspect(options["database"], options["device"])
        said = (
            to_json(asdict(report))
            if options["json"]
            else f"Took {report.taken} batches, applied {report.applied} transactions; {report.early} wait for others."
        )
        if not report.refused:
            return said
        self.stdout.write(said)
        raise CommandError("\n".join(report.refused))
