"""On a device: have all its records (or chosen ones) preserved by the server, and only then remove them here."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api.client.finalize import carrier
from sync_api.conf import limit
from sync_api.finalizing.drive import abandon, facts_of, finalize, scrub
from sync_api.finalizing.proof import mark_of
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json
from sync_api.models import Finalization


class Command(BaseCommand):
    help = (
        "Mark every record of this device as complete, send it, wait until the server has applied and preserved "
        "everything with equal counts and hashes, and only then remove the records here. Stopped anywhere, "
        "`finalize --resume` goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--records", nargs="+", default=[], metavar="app.Model:key", help="Move only these off.")
        parser.add_argument("--reason", default="", help="Kept with the mark.")
        parser.add_argument("--resume", action="store_true", help="Go on with the one that was begun.")
        parser.add_argument("--abandon", action="store_true", help="Give it up: everything stays on this device.")
        parser.add_argument("--no-push", action="store_true", help="No network: receipts came by bundle or relay.")
        parser.add_argument("--wait", type=float, help=f"Seconds ({limit('SYNC_FINALIZE_WAIT_SECONDS'):.0f}).")
        parser.add_argument("--allow-http", action="store_true", help="Allow http:// to another machine.")
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        alias = options["database"]
        if options["abandon"] and (options["resume"] or options["records"]):
            raise CommandError("--abandon goes with neither --resume nor --records.")
        if options["resume"] and options["records"]:
            raise CommandError("--resume goes on with the records that were chosen. Leave --records out.")
        with plain_errors():
            if options["abandon"]:
                done = abandon(alias, reason=options["reason"])
            else:
                carry = None if options["no_push"] else carrier(alias, allow_http=options["allow_http"])
                done = finalize(
                    alias,
                    records=options["records"],
                    reason=options["reason"],
                    resume=options["resume"],
                    carry=carry,
                    wait_seconds=options["wait"],
                )
                scrub(alias)
        return to_json(facts_of(alias, done)) if options["json"] else sentence(done)


def sentence(done: Finalization) -> str:
    if done.state == Finalization.State.ABANDONED:
        return "The finalization is given up. Everything stays on this device."
    removed = sum(counts["removed"] for counts in done.wiped.values())
    kept = sum(counts["kept"] for counts in done.wiped.values())
    told = f"{done.device.server_name} has preserved {mark_of(done).count} records; {removed} were removed here."
    return told + (f" {kept} stay: they were made or changed since, or others here need them." if kept else "")
