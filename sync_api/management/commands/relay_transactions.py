"""On a middleman or a server: hand on others' batches."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api.client.relay import RelayReport, relay, report_facts
from sync_api.management.commands._common import add_database, add_json, files_words, plain_errors, to_json, whole_bytes


class Command(BaseCommand):
    help = (
        "Hand on the batches of others: on a middleman those it carries, on a server those it holds. "
        "May be stopped anywhere and repeated."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--to", default="", metavar="URL", help="Another server or middleman (default: where this one is enrolled)."
        )
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
        with plain_errors():
            report = relay(
                options["database"],
                options["to"],
                files_bytes_max=options["files_bytes_max"],
                allow_http=options["allow_http"],
            )
        said = to_json(report_facts(report)) if options["json"] else sentence(report)
        if not report.problems:
            return said
        self.stdout.write(said)
        raise CommandError("\n".join(report.problems))


def sentence(report: RelayReport) -> str:
    done = f"Handed {report.transactions} transactions in {report.batches} batches to {report.to}"
    if report.early:
        done += f"; {report.early} batches wait there for earlier ones that are not here"
    if report.delivered_by_others:
        done += f"; {report.delivered_by_others} had come there by another road"
    done += f". {report.statements_taken} statements taken, {report.statements_brought} brought."
    return f"{done} {files_words(report.files)}".strip()
