"""On the laptop: the signed list of a day's records, as a file for the driver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api.management.commands._common import add_database, plain_errors
from sync_api.reconciliation.chosen import read_day
from sync_api.reconciliation.manifest import make_manifest


class Command(BaseCommand):
    help = "Sign a list of the records that were made or changed here on a day, for `reconcile` on the relay."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--day", default="", metavar="YYYY-MM-DD", help="Which day (default: today).")
        parser.add_argument("--output", metavar="FILE", help="Write it to a file; without, it is printed.")
        add_database(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        with plain_errors():
            manifest = make_manifest(options["database"], read_day(options["day"]))
        content = orjson.dumps(manifest)
        if not options["output"]:
            return content.decode()
        try:
            Path(options["output"]).write_bytes(content)
        except OSError as error:
            raise CommandError(f"{options['output']} could not be written: {error.strerror}.") from error
        return f"{len(manifest['records'])} records of {manifest['day']} on {manifest['device']}: {options['output']}."
