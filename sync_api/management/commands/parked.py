"""Units that could not be applied: list them, look at one, try again, or ignore one with a reason."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api.deserializer import accept_baseline, ignore, retry_parked
from sync_api.deserializer.listing import list_text, list_units, show_text, show_unit
from sync_api.deserializer.report import ConsumeReport, as_json
from sync_api.deserializer.trial import trial_facts, trial_text, try_out
from sync_api.management.commands._common import plain_errors

ACTIONS = ("list", "show", "retry", "accept", "ignore")


class Command(BaseCommand):
    help = "Units that could not be applied, with their reason and next step."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", nargs="?", default="list", choices=ACTIONS)
        parser.add_argument("unit", nargs="?", type=int, help="The unit's number, as listed.")
        parser.add_argument("--device", help="Only this device's units (list, retry).")
        parser.add_argument("--cause", metavar="CODE", help="Only units with this cause (list, retry).")
        parser.add_argument("--dry-run", action="store_true", help="Say what a retry would do; change nothing.")
        parser.add_argument("--reason", default="", help="Why the unit is accepted or ignored.")
        parser.add_argument("--user", default="", help="Who decides (default: this machine's user).")
        parser.add_argument("--database", default="default", help="The server's database alias.")
        parser.add_argument("--json", action="store_true", help="Print JSON.")

    def handle(self, *, action: str, unit: int | None, **options: Any) -> str:
        if unit is None and action in ("show", "accept", "ignore"):
            raise CommandError(f"Say which unit: `parked {action} NUMBER`. See the numbers with `parked list`.")
        if options["dry_run"] and action != "retry":
            raise CommandError("--dry-run is of `parked retry`. `parked list` and `parked show` change nothing anyway.")
        with plain_errors():
            return getattr(self, f"do_{action}")(unit, **options)  # type: ignore[no-any-return]

    def do_list(self, _: None, *, database: str, device: str | None, cause: str | None, json: bool, **__: Any) -> str:
        units = list_units(database, device, cause)
        if json:
            return as_json(units)
        return list_text(units) if cause is None else list_text(units, shown_max=None)

    def do_show(self, unit: int, *, database: str, json: bool, **_: Any) -> str:
        shown = show_unit(database, unit)
        return as_json(shown) if json else show_text(shown)

    def do_retry(self, unit: int | None, *, database: str, json: bool, user: str, dry_run: bool, **options: Any) -> str:
        chosen = {"device": options["device"], "cause": options["cause"]}
        if dry_run:
            trials = try_out(database, unit, **chosen)
            return as_json(trial_facts(trials)) if json else trial_text(trials)
        report = ConsumeReport(retry_parked(database, unit, committed_by=user or operator(), **chosen))
        return self.told(report, report.retried, json=json)

    def do_ignore(self, unit: int, *, database: str, reason: str, json: bool, user: str, **_: Any) -> str:
        report = ConsumeReport(ignore(database, unit, reason=reason, ignored_by=user or operator()))
        return self.told(report, f"Unit {unit} is ignored. {report.retried}", json=json)

    def do_accept(self, unit: int, *, database: str, reason: str, json: bool, user: str, **_: Any) -> str:
        report = ConsumeReport(accept_baseline(database, unit, reason=reason, accepted_by=user or operator()))
        return self.told(report, f"The device's version of unit {unit} is taken. {report.retried}", json=json)

    def told(self, report: ConsumeReport, sentence: str, *, json: bool) -> str:
        """The report; an error when a device could not be tried."""
        text = report.as_json() if json else sentence
        if report.errors:
            self.stdout.write(text)
            raise CommandError("\n".join(report.errors))
        return text


def operator() -> str:
    """The machine's user; empty where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
