"""Who had which batches."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json
from sync_api.relay.custody import Custody, custody, custody_facts


class Command(BaseCommand):
    help = (
        "List who took and handed over which batches, as each signed it. With --missing, only those not known to "
        "have arrived: what a lost middleman had with it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--device", default="", help="Only of this device.")
        parser.add_argument("--missing", action="store_true", help="Only what has not arrived, as far as known here.")
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        with plain_errors():
            runs = custody(options["database"], device=options["device"], only_missing=options["missing"])
        if options["json"]:
            return to_json({"custody": [custody_facts(run) for run in runs]})
        return "\n".join(map(sentence, runs)) or "Nothing is known of custody."


def sentence(run: Custody) -> str:
    which = f"batch {run.number}" if run.first == run.number else f"batches {run.first} to {run.number}"
    did = f"took {which} of {run.device} from" if run.action == "received" else f"handed {which} of {run.device} to"
    fate = "at a server" if run.arrived else "NOT KNOWN TO HAVE ARRIVED"
    return f"{run.signer} {did} {run.other} ({run.via}), {run.at:%Y-%m-%d %H:%M} UTC: {fate}."
