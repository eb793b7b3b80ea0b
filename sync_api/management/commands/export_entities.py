"""Feeds other systems: marks what standing searches find, and sends what is due."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from sync_api.client.export_line import ExportClient
from sync_api.exports.exporter import Exporter, ExportReport
from sync_api.exports.listing import find_configuration, listed
from sync_api.exports.tasks import revive
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json


class Command(BaseCommand):
    help = "Mark what the enabled export configurations find, and send what is due."

    def add_arguments(self, parser: CommandParser) -> None:
        add_database(parser)
        add_json(parser)
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--follow", action="store_true", help="Go on until interrupted.")
        what.add_argument("--list", action="store_true", help="Show the configurations, send nothing.")
        what.add_argument("--enable", metavar="NAME", help="Switch a configuration on, its failures forgotten.")
        what.add_argument("--disable", metavar="NAME", help="Switch a configuration off.")
        what.add_argument("--retry-dead", metavar="NAME", help="Try given-up tasks of a configuration again.")

    def handle(self, *, database: str, json: bool, follow: bool, **options: Any) -> str | None:
        with plain_errors():
            if options["list"]:
                entries = listed(database)
                return to_json({"configurations": entries}) if json else "\n".join(map(self.line, entries))
            for name, is_enabled in ((options["enable"], True), (options["disable"], False)):
                if name:
                    return self.switch(database, name, is_enabled=is_enabled)
            if options["retry_dead"]:
                configuration = find_configuration(database, options["retry_dead"])
                return f"{revive(database, configuration, now=timezone.now())} tasks will be tried again."
            with ExportClient() as client:
                exporter = Exporter(database, client.connect)
                if follow:
                    exporter.start(self.tell)
                    return None
                report = exporter.run()
        return to_json({"marked": report.marked, **report.ended}) if json else report.sentence

    def switch(self, database: str, name: str, *, is_enabled: bool) -> str:
        configuration = find_configuration(database, name)
        configuration.is_enabled = is_enabled
        configuration.save(using=database)
        return f"'{configuration.name}' is {'enabled' if is_enabled else 'disabled'}."

    def tell(self, report: ExportReport) -> None:
        if report.marked or any(report.ended.values()):
            self.stdout.write(report.sentence)

    def line(self, entry: dict[str, Any]) -> str:
        state = "enabled" if entry["is_enabled"] else "disabled"
        return (
            f"{entry['name']} ({entry['entity_type']} -> {entry['target_host']}): {state}, {entry['pending']} pending, "
            f"{entry['completed_count']} sent, {entry['dead']} given up, {entry['failures']} failures in a row"
        )
