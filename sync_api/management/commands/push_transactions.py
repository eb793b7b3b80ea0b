"""On a device: seal what is pending and send it to every target."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api.client import PushReport, PushRun, push_to_targets
from sync_api.client.push_report import TargetResult, report_facts
from sync_api.client.waiting import waiting_transactions
from sync_api.management.commands._common import add_database, add_json, files_words, plain_errors, to_json, whole_bytes


class Command(BaseCommand):
    help = "Send everything that waits on this device. May be stopped anywhere; the next run goes on from there."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--target", metavar="NAME", help="Only this target, also when it failed and is left alone.")
        parser.add_argument(
            "--files-bytes-max",
            type=whole_bytes,
            metavar="BYTES",
            help="Send at most so many bytes of files on this link (20M is 20 MiB; 0 sends records only).",
        )
        parser.add_argument("--allow-http", action="store_true", help="Allow http:// to another machine.")
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        alias = options["database"]
        with plain_errors(), self.progress(alias, quiet=options["json"]) as advance:
            run = push_to_targets(
                alias,
                target=options["target"],
                files_bytes_max=options["files_bytes_max"],
                allow_http=options["allow_http"],
                progress=advance,
            )
        text = to_json(run_facts(run)) if options["json"] else "\n".join(map(sentence, delivered(run)))
        if run.problems:
            if text:
                self.stdout.write(text)
            raise CommandError("\n".join(run.problems))
        return text

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


def run_facts(run: PushRun) -> dict[str, Any]:
    """The home server's report (with --target: that target's), and every target's part."""
    first = run.home or run.results[0]
    return {
        **report_facts(first.report),
        "targets": [result.facts for result in run.results],
        "error": None if run.error is None else {"code": run.error.code, "text": str(run.error)},
    }


def delivered(run: PushRun) -> list[TargetResult]:
    """Those with something to say beside their problem."""
    return [result for result in run.results if result.state == "sent" or result.report.batches]


def sentence(result: TargetResult) -> str:
    report: PushReport = result.report
    if not report.batches and not files_words(report.files):
        return f"Nothing was waiting on {report.device}; {report.server} has everything."
    done = (
        ""
        if not report.batches
        else f"Sent {report.transactions} transactions in {report.batches} batches to {report.server}."
    )
    if report.closed_epochs:
        done += " Batches of an earlier epoch were refused and stay here: see `sync_status`."
    return f"{done} {files_words(report.files)}".strip()
