"""On the server: preserve the records of a lost device, for a reason."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sync_api import conf
from sync_api.finalizing.forcing import Forced, force_finalize
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json


class Command(BaseCommand):
    help = "Preserve the records of a device that is lost, without its word. What still arrives of them joins them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="DEVICE")
        parser.add_argument("--reason", required=True, help="Why; kept with the era.")
        add_database(parser, default=conf.server_alias())
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        with plain_errors():
            forced = force_finalize(options["database"], options["name"], reason=options["reason"])
        if options["json"]:
            return to_json({"device": forced.device, "era": forced.era, "records": forced.records})
        return sentence(forced)


def sentence(forced: Forced) -> str:
    listed = ", ".join(f"{label} {count}" for label, count in forced.records.items())
    if not listed:
        return f"{forced.device} has no records that are not preserved. What still arrives of it is preserved at once."
    return f"Preserved {sum(forced.records.values())} records of {forced.device} as of {forced.era}: {listed}."
