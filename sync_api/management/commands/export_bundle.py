"""Write what the server does not hold yet to a stick, as one file or in pieces."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api.bundles.confirmation import confirm
from sync_api.bundles.export import ExportReport, export_bundle
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}


class Command(BaseCommand):
    help = "Write batches and receipts to a folder, such as a stick's. Nothing is marked as delivered by it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", metavar="FOLDER", help="The folder to write to.")
        parser.add_argument("--piece-size", metavar="SIZE", help="Largest file, such as 500MB or 4GB.")
        parser.add_argument("--device", action="append", default=[], help="Only this device's; may be repeated.")
        parser.add_argument("--all", action="store_true", help="Also what the server is known to hold.")
        parser.add_argument("--for", dest="server", default="", metavar="SERVER", help="The further server it is for.")
        parser.add_argument("--statements-only", action="store_true", help="Receipts and the like, without batches.")
        parser.add_argument("--confirm", metavar="CODE", help="Note that the importer has read out this code.")
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        if bool(options["to"]) == bool(options["confirm"]):
            raise CommandError("Give either --to FOLDER to export, or --confirm CODE.")
        with plain_errors():
            if options["confirm"]:
                return self.confirm(options)
            report = export_bundle(
                options["database"],
                options["to"],
                piece_bytes=size_in_bytes(options["piece_size"]),
                devices=options["device"],
                everything=options["all"],
                statements_only=options["statements_only"],
                server=options["server"],
            )
        return to_json(asdict(report)) if options["json"] else sentence(report)

    def confirm(self, options: dict[str, Any]) -> str:
        bundle = confirm(options["database"], options["confirm"])
        if options["json"]:
            return to_json({"name": bundle.name, "confirmed_at": bundle.confirmed_at})
        return f"{bundle.name} is confirmed: it was imported whole."


def size_in_bytes(text: str | None) -> int | None:
    """500MB, 4GB, 512MiB or a number of bytes."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,15})\s*([KMG]I?)?B?", text.strip().upper())
    if found is None or int(found[1]) == 0:
        raise CommandError(f"'{text[:40]}' is not a size. Write it as 500MB or 4GB.")
    return int(found[1]) * UNITS[found[2] or ""]


def sentence(report: ExportReport) -> str:
    if not report.files:
        return f"Nothing is to be exported from {report.exporter}; no file was written."
    files = "\n".join(f"    {one.name}" for one in report.files)
    with_files = f", {report.contents} files" if report.contents else ""
    left = f"{len(report.contents_left)} files are too large for a piece, or damaged here, and were left out.\n"
    return (
        f"Wrote {report.batches} batches{with_files} and {report.statements} statements to {report.folder}:\n{files}\n"
        f"{left if report.contents_left else ''}"
        "They count as delivered when the server's receipt is back. When the importer reads out a code, run "
        "`export_bundle --confirm CODE`."
    )
