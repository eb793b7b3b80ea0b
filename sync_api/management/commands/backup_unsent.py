"""Keep a copy of what no server's backup contains yet, on a stick or a second disk."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api.bundles.backup import BackupReport, backup_unsent, watch_backup
from sync_api.bundles.restore import RestoreReport, restore_unsent
from sync_api.exceptions import SyncError
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json


class Command(BaseCommand):
    help = "Copy sealed batches that no server's verified backup contains yet to a stick or second disk."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--to", metavar="FOLDER", help="The folder on the stick or second disk.")
        parser.add_argument("--watch", action="store_true", help="Go on, whenever the folder is there, until stopped.")
        parser.add_argument("--same-disk", action="store_true", help="Allow a folder on the disk of the database.")
        parser.add_argument("--restore", metavar="FOLDER", help="On a new laptop: take the lost one's copy back.")
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        if bool(options["to"]) == bool(options["restore"]) or (options["watch"] and options["restore"]):
            raise CommandError("Give either --to FOLDER to copy, or --restore FOLDER to take a copy back.")
        if options["watch"]:
            return self.watch(options)
        alias = options["database"]
        report: BackupReport | RestoreReport
        with plain_errors():
            if options["restore"]:
                report = restore_unsent(alias, options["restore"])
            else:
                report = backup_unsent(alias, options["to"], same_disk=options["same_disk"])
        return to_json(asdict(report)) if options["json"] else sentence(report)

    def watch(self, options: dict[str, Any]) -> str:
        def tell(told: BackupReport | SyncError) -> None:
            if isinstance(told, SyncError):
                self.stderr.write(str(told))
            else:
                self.stdout.write(to_json(asdict(told)) if options["json"] else sentence(told))

        with suppress(KeyboardInterrupt):
            watch_backup(options["database"], options["to"], tell, same_disk=options["same_disk"])
        return "Stopped."


def sentence(report: BackupReport | RestoreReport) -> str:
    if isinstance(report, RestoreReport):
        return (
            f"{report.restored} batches of {report.device} were restored, {report.known} were here already. "
            "Run `push_transactions`: they are sent first."
        )
    if not report.unsecured:
        return f"Everything of {report.device} is in a server's verified backup; no copy is needed."
    return f"{report.folder} holds all {report.unsecured} batches of {report.device} that are not safe elsewhere yet."
