"""On the server: say what a verified backup holds, so that devices may remove what it covers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api import conf
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json
from sync_api.trust.durable import Durable, mark_durable


class Command(BaseCommand):
    help = "After a backup was verified: mark the batches in it as durable, and issue receipts that say so."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--backup", required=True, help="The backed-up SQLite file, which is read; or a label, with --at."
        )
        parser.add_argument(
            "--at", type=moment, help="When the backup began, with its time zone: 2026-01-31T18:00+01:00."
        )
        parser.add_argument("--device", help="Only this device.")
        parser.add_argument("--until", type=int, help="With --device: no batch beyond this number.")
        add_database(parser, default=conf.server_alias())
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        device, until = options["device"], options["until"]
        if until is not None and device is None:
            raise CommandError("Give --until together with --device.")
        with plain_errors():
            marks = mark_durable(
                options["database"], backup=options["backup"], at=options["at"], device=device, until=until
            )
        if options["json"]:
            return to_json({"marks": [facts(mark) for mark in marks]})
        return "\n".join([*map(line, marks), f"{sum(mark.number > mark.before for mark in marks)} marks moved."])


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def facts(mark: Durable) -> dict[str, Any]:
    return {name: getattr(mark, name) for name in Durable.__slots__}


def line(mark: Durable) -> str:
    left = mark.head - mark.number
    rest = "that is all" if not left else f"{left} later ones are not in this backup"
    return f"{mark.device}: batches up to {mark.number} of epoch {mark.epoch[:8]} are durable; {rest}."
