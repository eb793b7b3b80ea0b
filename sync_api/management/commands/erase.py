"""On the server: erase the content of finalized records, for a justification that is kept."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.exceptions import AuditError
from sync_api import conf
from sync_api.erasing.erase import Erasure, erase
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json


class Command(BaseCommand):
    help = "Erase the content of finalized records here, and order it erased by everybody who has the batches."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("label", metavar="MODEL", help="app_label.Model, as in study.Visit")
        parser.add_argument("keys", metavar="KEY", nargs="+", help="the records' keys on the device")
        parser.add_argument("--device", required=True)
        parser.add_argument("--era", help="which record, where several had the key one after the other")
        parser.add_argument("--reason", required=True, help="The justification; kept with every erased version.")
        parser.add_argument("--by", default="", help="Who decided it (default: this server).")
        add_database(parser, default=conf.server_alias())
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        named = {name: options[name] for name in ("device", "era", "reason", "by")}
        try:
            with plain_errors():
                report = erase(options["database"], options["label"], options["keys"], **named)
        except AuditError as error:
            raise CommandError(str(error)) from error
        return to_json(asdict(report)) if options["json"] else sentence(report)


def sentence(report: Erasure) -> str:
    if not report.versions and not report.transactions:
        return "Everything of these records was erased before. Nothing was changed."
    return (
        f"Erased {report.versions} versions of {len(report.keys)} records of {report.label} of {report.device}, "
        f"{report.transactions} transactions in {report.batches} batches. {report.orders} signed orders go to whoever "
        "has these batches; `custody` shows who followed them."
    )
