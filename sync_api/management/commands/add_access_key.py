"""On the server: make an access key to one record and print it once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from sync_api import conf
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json
from sync_api.uploads.access import add_access_key


class Command(BaseCommand):
    help = "Make an access key to one record: whoever has it may upload that record's data, and nothing else."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", help="app_label.model, registered as a root by the study.")
        parser.add_argument("values", nargs="+", metavar="FIELD=VALUE", help="The values by which the record is known.")
        parser.add_argument("--group", required=True, help="The Django group that the devices will belong to.")
        parser.add_argument("--days", type=int, help="No device can be registered with it after so many days.")
        add_database(parser, default=conf.server_alias())
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        pairs = [one.partition("=") for one in options["values"]]
        if not all(equals for _, equals, _ in pairs):
            raise CommandError("Write each value as FIELD=VALUE.")
        days = options["days"]
        with plain_errors():
            new = add_access_key(
                options["database"],
                model=options["model"],
                identity={name: value for name, _, value in pairs},
                group=options["group"],
                by="add_access_key",
                expires_at=None if days is None else timezone.now() + timedelta(days=days),
            )
        if options["json"]:
            until = None if new.expires_at is None else new.expires_at.isoformat()
            facts = {"key": new.key, "model": new.model, "identity": new.identity, "group": new.group}
            return to_json({**facts, "expires_at": until})
        return f"The access key to this record of {new.model}, shown only now:\n\n    {new.key}"
