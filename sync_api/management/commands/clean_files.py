"""Remove the bytes of files that nothing needs here."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sync_api.files.cleaning import clean_files
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json


class Command(BaseCommand):
    help = "Remove bytes of files that nothing names any more, expired uploads, and what kills left on the disk."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only say what would be removed.")
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        with plain_errors():
            report = clean_files(options["database"], dry_run=options["dry_run"])
        if options["json"]:
            return to_json(report.facts_for_json)
        would = "Would remove" if options["dry_run"] else "Removed"
        return (
            f"{would} {report.contents} contents ({report.bytes} bytes), {report.uploads} expired uploads and "
            f"{report.strays} left-over files."
        )
