"""The router's way: copy what waits from one database of this process to another."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json
from sync_api.router.rounds import RoundReport, copy_round, follow_rounds, target_of


class Command(BaseCommand):
    help = "Copy everything that waits to the server's database, which this process reaches directly."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", metavar="ALIAS", help="The server's alias (default: copy_to in SYNC_DATABASES).")
        parser.add_argument("--follow", action="store_true", help="Go on until interrupted.")
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        source = options["database"]

        def tell(told: RoundReport | str) -> None:
            if isinstance(told, str):
                self.stderr.write(told)
            else:
                self.stdout.write(to_json(asdict(told)) if options["json"] else sentence(told))

        with plain_errors():
            target = target_of(source, options["to"])
            if options["follow"]:
                with suppress(KeyboardInterrupt):
                    follow_rounds(source, target, tell)
                return "Stopped."
            report = copy_round(source, target)
        return to_json(asdict(report)) if options["json"] else sentence(report)


def sentence(report: RoundReport) -> str:
    if not report.batches and not report.again:
        return f"Nothing was waiting on {report.device}; {report.server} has everything."
    again = f" {report.again} batches that it had lost were copied again." if report.again else ""
    return f"Copied {report.transactions} transactions in {report.batches} batches to {report.server}.{again}"
