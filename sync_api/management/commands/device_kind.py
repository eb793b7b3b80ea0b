"""On the server: a device delivers a log of its changes, or uploads its tables. One of the two."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from audit.models import Device
from sync_api import conf
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json
from sync_api.uploads.kinds import change_kind


class Command(BaseCommand):
    help = "Let a device whose records are all preserved deliver the other kind from now on: a log, or states."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="DEVICE")
        parser.add_argument("kind", choices=Device.Kind.values, help="log: batches of changes. state: whole tables.")
        add_database(parser, default=conf.server_alias())
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        name, kind = options["name"], Device.Kind(options["kind"])
        with plain_errors():
            is_new = change_kind(options["database"], name, kind)
        if options["json"]:
            return to_json({"device": name, "kind": kind.value, "changed": is_new})
        return f"{name} {kind.label}{' from now on' if is_new else ', as before'}."
