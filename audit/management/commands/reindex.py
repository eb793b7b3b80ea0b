"""`manage.py reindex [--check]`: make the record index anew, or say whether it is the mirror's."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS

from audit.exceptions import AuditError
from audit.index import check_index, reindex


class Command(BaseCommand):
    help = "Make the record index from nothing, table by table; --check only compares, and fails if it differs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; status 1 if anything differs")
        parser.add_argument("--model", action="append", help="app_label.model; only this one, may be repeated")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS)
        parser.add_argument("--json", action="store_true", help="Print one JSON object for programs.")

    def handle(self, *, check: bool, model: list[str] | None, database: str, **options: Any) -> str:
        try:
            if check:
                return self.compare(database, model, as_json=options["json"])
            counts = reindex(database, model, progress=self.tell if self.stderr.isatty() else None)
        except AuditError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            return json.dumps({"entries": counts})
        return f"The record index has {sum(counts.values())} entries of {len(counts)} models."

    def tell(self, label: str, entries: int) -> None:
        self.stderr.write(f"{label}: {entries} entries")

    def compare(self, database: str, model: list[str] | None, *, as_json: bool) -> str:
        count, shown = check_index(database, model)
        if as_json:
            self.stdout.write(json.dumps({"differences": count, "first": list(map(str, shown))}))
        elif count:
            for difference in shown:
                self.stdout.write(str(difference))
        if count:
            raise CommandError(f"{count} differences between the index and the mirror. Run reindex.")
        return "" if as_json else "As it should be: the index is the mirror's."
