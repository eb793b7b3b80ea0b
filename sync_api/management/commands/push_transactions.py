"""On a device: seal what is pending and send it to the server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sync_api.client import PushReport, push
from sync_api.client.push import report_facts
from sync_api.client.waiting import waiting_transactions
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json


class Command(BaseCommand):
    help = "Send everything that waits on this device. May be stopped anywhere; the next run goes on from there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--allow-http", action="store_true", help="Allow http:// to another machine.")
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        alias = options["database"]
        with plain_errors(), self.progress(alias, quiet=options["json"]) as advance:
            report = push(alias, allow_http=options["allow_http"], progress=advance)
        return to_json(report_facts(report)) if options["json"] else sentence(report)

    @contextmanager
    def progress(self, alias: str, *, quiet: bool) -> Iterator[Callable[[int], None] | None]:
        """A bar where a terminal is there to see it."""
        if quiet or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("Sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("Sending", total=waiting_transactions(alias))
            yield lambda transactions: bar.advance(task, transactions)


def sentence(report: PushReport) -> str:
    if not report.batches:
        return f"Nothing was waiting on {report.device}; {report.server} has everything."
    done = f"Sent {report.transactions} transactions in {report.batches} batches to {report.server}."
    if report.closed_epochs:
        done += " Batches of an earlier epoch were refused and stay here: see `sync_status`."
    return done
