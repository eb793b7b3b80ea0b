"""What waits on this device, and, on a server, the state of every device in words."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sync_api.client.waiting import device_status
from sync_api.conf import alias_settings
from sync_api.fleet import fleet_status
from sync_api.fleet.own import own_lines, own_status
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json


class Command(BaseCommand):
    help = "Show what waits: on a device to be sent, on a server of every device."

    def add_arguments(self, parser: CommandParser) -> None:
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        alias = options["database"]
        with plain_errors():
            status = device_status(alias)
            own = None if status is None else own_status(alias, status)
            fleet = fleet_status(alias) if alias_settings(alias).role != "client" else []
        if options["json"]:
            return to_json({"own": own, "fleet": fleet})
        return "\n".join([*own_lines(own), *(entry["text"] for entry in fleet)])
