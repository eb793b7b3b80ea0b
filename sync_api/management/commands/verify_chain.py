"""Recompute every hash, link and signature of the stored batches."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json
from sync_api.verification import verify_chain

SHOWN_MAX = 20


class Command(BaseCommand):
    help = "Check the stored batches of this database: hashes, chain, signatures. Exit status 1 when one is wrong."

    def add_arguments(self, parser: CommandParser) -> None:
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        with plain_errors():
            report = verify_chain(options["database"])
        if options["json"]:
            facts = {"outgoing": report.outgoing, "incoming": report.incoming, "problems": report.problems}
            self.stdout.write(to_json(facts))
        if report.problems:
            shown = "\n".join(report.problems[:SHOWN_MAX])
            raise CommandError(f"{len(report.problems)} problems in the stored batches:\n{shown}")
        if options["json"]:
            return ""
        return f"{report.outgoing} batches made here and {report.incoming} received are whole and in order."
