"""Units that could not be applied: list them, look at one, try again, or ignore one with a reason."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api.deserializer import ignore, retry_parked
from sync_api.deserializer.listing import list_text, list_units, show_text, show_unit
from sync_api.deserializer.report import ConsumeReport, as_json
from sync_api.exceptions import SyncError


class Command(BaseCommand):
    help = "Units that could not be applied, with their reason and next step."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", nargs="?", default="list", choices=["list", "show", "retry", "ignore"])
        parser.add_argument("unit", nargs="?", type=int, help="The unit's number, as listed.")
        parser.add_argument("--reason", default="", help="Why the unit is ignored.")
        parser.add_argument("--device", help="Only this device's units (list).")
        parser.add_argument("--database", default="default", help="The server's database alias.")
        parser.add_argument("--json", action="store_true", help="Print JSON.")

    def handle(self, *, action: str, unit: int | None, **options: Any) -> str:
        if unit is None and action in ("show", "ignore"):
            raise CommandError(f"Say which unit: `parked {action} NUMBER`. See the numbers with `parked list`.")
        try:
            return getattr(self, f"do_{action}")(unit, **options)  # type: ignore[no-any-return]
        except SyncError as error:
            raise CommandError(str(error)) from error

    def do_list(self, _: None, *, database: str, device: str | None, json: bool, **__: Any) -> str:
        units = list_units(database, device)
        return as_json(units) if json else list_text(units)

    def do_show(self, unit: int, *, database: str, json: bool, **_: Any) -> str:
        shown = show_unit(database, unit)
        return as_json(shown) if json else show_text(shown)

    def do_retry(self, unit: int | None, *, database: str, json: bool, **_: Any) -> str:
        report = ConsumeReport(retry_parked(database, unit))
        return report.as_json() if json else report.retried

    def do_ignore(self, unit: int, *, database: str, reason: str, json: bool, **_: Any) -> str:
        report = ConsumeReport(ignore(database, unit, reason=reason))
        return report.as_json() if json else f"Unit {unit} is ignored. {report.retried}"
