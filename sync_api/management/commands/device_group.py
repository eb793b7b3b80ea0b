"""On the server: give a device to a group."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from sync_api import conf
from sync_api.management.commands._common import add_database, plain_errors
from sync_api.uploads.devices import give_to_group


class Command(BaseCommand):
    help = "Give a device to a Django group: its members with the permission may upload for it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="The device.")
        parser.add_argument("group", help="The group's name.")
        add_database(parser, default=conf.server_alias())

    def handle(self, *args: Any, **options: Any) -> str:
        with plain_errors():
            is_new = give_to_group(options["database"], options["name"], options["group"])
        return f"{options['name']} {'now belongs' if is_new else 'belonged already'} to {options['group']}."
