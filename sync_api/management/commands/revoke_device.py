"""On the server: revoke a device, with a cut-off up to which its batches stay valid."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api import conf
from sync_api.enrolment.registration import revoke_device
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json


class Command(BaseCommand):
    help = "Revoke a device's keys. Without a cut-off, nothing beyond what is held now is accepted."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--reason", required=True, help="Kept with the key.")
        parser.add_argument("--after-epoch", help="Cut-off: the epoch (32 hex digits) ...")
        parser.add_argument("--after-number", type=int, help="... and the last batch number that is still good.")
        add_database(parser, default=conf.server_alias())
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        epoch, number = options["after_epoch"], options["after_number"]
        if (epoch is None) != (number is None):
            raise CommandError("Give --after-epoch and --after-number together, or neither.")
        after = None if epoch is None else {"epoch": epoch, "number": number}
        with plain_errors():
            cut_off = revoke_device(options["database"], options["name"], reason=options["reason"], after=after)
        if options["json"]:
            return to_json({"device": options["name"], "after": cut_off})
        end = "nothing of it is accepted" if cut_off is None else f"batches up to {cut_off['number']} stay valid"
        return f"Device {options['name']} is revoked; {end}."
