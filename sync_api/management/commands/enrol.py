"""On a device: enrol with a server by a one-time code."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sync_api.client import enrol
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json


class Command(BaseCommand):
    help = "Enrol this installation with a server, by a code from add_device."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--server", required=True, help="The server's address: https://sync.example.org")
        parser.add_argument("--code", required=True, help="Five words; case, spaces and hyphens do not matter.")
        parser.add_argument("--new-key", action="store_true", help="Make a new key and set the old one aside.")
        parser.add_argument("--allow-http", action="store_true", help="Allow http:// to another machine.")
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        with plain_errors():
            report = enrol(
                options["database"],
                options["server"],
                options["code"],
                new_key=options["new_key"],
                allow_http=options["allow_http"],
            )
        if options["json"]:
            facts = {"device": report.device, "server": report.server, "url": report.url}
            return to_json({**facts, "began_epoch": report.began_epoch})
        done = f"Device {report.device} is enrolled with server {report.server} at {report.url}."
        if report.began_epoch:
            done += " A new epoch has begun: run `baseline`, then `push_transactions`."
        return done
