"""Take in bundles: single files, or a folder into which they are put."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api.bundles.folders import FolderReport, import_folder, watch_folder
from sync_api.bundles.importing import ImportReport, import_bundle, incomplete
from sync_api.exceptions import SyncError
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json


class Command(BaseCommand):
    help = "Import bundle files. Each is checked whole before anything is stored; again, it changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="*", metavar="FILE", help="Bundle files, in any order.")
        parser.add_argument("--folder", help="Import what is in FOLDER/incoming and move it to done or failed.")
        parser.add_argument("--watch", metavar="FOLDER", help="The same, until interrupted.")
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str | None:
        if sum(map(bool, (options["files"], options["folder"], options["watch"]))) != 1:
            raise CommandError("Give bundle files, or --folder FOLDER, or --watch FOLDER.")
        if options["watch"]:
            return self.watch(options)
        with plain_errors():
            report = import_folder(options["database"], options["folder"]) if options["folder"] else self.each(options)
        self.tell(report, as_json=options["json"])
        if report.failed or report.waiting:
            raise CommandError("\n".join(problems(report)))
        return None

    def each(self, options: dict[str, Any]) -> FolderReport:
        """Every file has its turn; what waits for another file is tried again after that."""
        report = FolderReport()
        left = list(options["files"])
        while left:
            waiting = [path for path in left if not self.one(options["database"], path, report)]
            if len(waiting) == len(left):
                break
            left = waiting
        return report

    def one(self, alias: str, path: str, report: FolderReport) -> bool:
        report.waiting.pop(path, None)
        try:
            found = import_bundle(alias, path)
        except SyncError as error:
            report.failed[path] = str(error)
            return True
        if found.waits:
            report.waiting[path] = str(incomplete(found))
            return False
        if found.refused:
            report.failed[path] = str(incomplete(found))
        else:
            report.done.append(found)
        return True

    def watch(self, options: dict[str, Any]) -> str:
        def tell(report: FolderReport) -> None:
            self.tell(report, as_json=options["json"], troubles=True)

        with suppress(KeyboardInterrupt), plain_errors():
            watch_folder(options["database"], options["watch"], tell)
        return "Stopped."

    def tell(self, report: FolderReport, *, as_json: bool, troubles: bool = False) -> None:
        if as_json:
            done = [one.facts for one in report.done]
            self.stdout.write(to_json({"done": done, "failed": report.failed, "waiting": report.waiting}))
            return
        for one in report.done:
            self.stdout.write(sentence(one))
        for line in problems(report) if troubles else []:
            self.stderr.write(line)


def problems(report: FolderReport) -> list[str]:
    return [f"{name}: {reason}" for name, reason in (*report.failed.items(), *report.waiting.items())]


def sentence(report: ImportReport) -> str:
    piece = f" (piece {report.piece} of {report.pieces})" if report.pieces > 1 else ""
    parts = [f"{report.stored} batches stored", f"{report.known} known before"]
    if report.contents:
        parts.append(f"{report.contents} files kept")
    if report.contents_undeclared:
        parts.append(f"{report.contents_undeclared} files left alone: no record here names them")
    if report.early:
        parts.append(f"{report.early} waiting for others before them")
    if report.left:
        parts.append(f"{report.left} left alone: a laptop takes receipts, not batches")
    return (
        f"Imported {report.name} of {report.exporter}{piece}: {', '.join(parts)}; {report.statements} statements.\n"
        f"Read this code out to the exporter: {report.confirmation}"
    )
