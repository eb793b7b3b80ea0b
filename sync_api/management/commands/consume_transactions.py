"""Applies received batches to the mirror."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api import conf
from sync_api.deserializer import consume, pending_count
from sync_api.deserializer.follow import follow, in_workers
from sync_api.deserializer.progress import progress_bar
from sync_api.exceptions import SyncError


class Command(BaseCommand):
    help = "Apply received batches to the mirror, device by device. Units that cannot be applied are parked."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--database", default="default", help="The server's database alias.")
        parser.add_argument("--device", help="Only this device's batches.")
        parser.add_argument("--follow", action="store_true", help="Go on until interrupted.")
        parser.add_argument("--workers", type=int, default=1, help="Processes that consume side by side.")
        parser.add_argument("--json", action="store_true", help="Print the report as JSON.")

    def handle(
        self, *, database: str, device: str | None, follow: bool, workers: int, json: bool, **_: Any
    ) -> str | None:
        if not 1 <= workers <= conf.limit("SYNC_CONSUME_WORKERS_MAX"):
            raise CommandError(f"--workers is a number from 1 to {conf.limit('SYNC_CONSUME_WORKERS_MAX')}.")
        try:
            if follow:
                self.stay(database, device, workers)
                return None
            if workers > 1:
                report = in_workers(database, device, workers)
            else:
                with progress_bar("Consuming", lambda: pending_count(database, device), quiet=json) as advance:
                    report = consume(database, device, progress=advance)
        except SyncError as error:
            raise CommandError(str(error)) from error
        if json:
            self.stdout.write(report.as_json())
        if report.errors:
            raise CommandError("\n".join(report.errors))
        return None if json else report.sentence

    def stay(self, database: str, device: str | None, workers: int) -> None:
        try:
            follow(database, device, workers=workers, tell=self.stdout.write)
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")
