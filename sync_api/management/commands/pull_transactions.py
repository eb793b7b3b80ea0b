"""On a middleman: take what waits on laptops, and bring them their receipts."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api.client.pull import PullReport, pull, report_facts
from sync_api.exceptions import SyncError
from sync_api.management.commands._common import add_database, add_json, to_json


class Command(BaseCommand):
    help = "Take the batches that wait on laptops, to be handed on by relay_transactions. May be repeated."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--laptop", action="append", required=True, metavar="URL", help="May be given repeatedly.")
        parser.add_argument("--allow-http", action="store_true", help="Allow http:// to another machine.")
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        reports: list[PullReport] = []
        problems: list[str] = []
        for url in options["laptop"]:
            try:
                reports.append(pull(options["database"], url, allow_http=options["allow_http"]))
            except SyncError as error:
                problems.append(f"{url}: {error}")
        problems += [f"{report.laptop}: {text}" for report in reports for text in report.refused]
        said = "\n".join(map(sentence, reports))
        if options["json"]:
            said = to_json({"laptops": [report_facts(report) for report in reports], "problems": problems})
        if not problems:
            return said
        self.stdout.write(said)
        raise CommandError("\n".join(problems))


def sentence(report: PullReport) -> str:
    taken = f"Took {report.transactions} transactions in {report.batches} batches from {report.laptop}"
    if report.files.files:
        taken += f" and {report.files.files} files ({report.files.bytes} bytes)"
    return f"{taken}; {report.statements_brought} statements brought there, {report.statements_taken} taken."
