"""Move the bytes that older versions kept below MEDIA_ROOT/exchanged into the content store."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sync_api.files.former import adopt_former
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json


class Command(BaseCommand):
    help = "Move bytes of imports and of the observatory from MEDIA_ROOT/exchanged into the content store. Repeatable."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--keep", action="store_true", help="Copy, and leave the files: for several databases with one MEDIA_ROOT."
        )
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        with plain_errors():
            report = adopt_former(options["database"], keep=options["keep"])
        if options["json"]:
            return to_json(report.facts_for_json)
        done = "Copied" if options["keep"] else "Moved"
        return (
            f"{done} {report.moved} contents; {report.damaged} damaged files and {report.unnamed} that no record "
            "names stay where they are."
        )
