"""`manage.py snapshot LABEL --as-of T`: one table's past state."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from audit.exceptions import AuditError
from audit.mirror.tables import table_for
from audit.reading.files import write_whole
from audit.reading.snapshot import snapshot_lines


class Command(BaseCommand):
    help = "Write one table as it was at a moment, as CSV or JSON lines, with the model's own field names."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("label", help="app_label.model, as in study.visit")
        parser.add_argument("--as-of", required=True, help="ISO 8601 with time zone, or 'now'")
        parser.add_argument("--device", help="only this device's records")
        parser.add_argument("--timeline", choices=["captured", "committed"], default="captured")
        parser.add_argument("--format", choices=["csv", "jsonl"], default="csv")
        parser.add_argument("--output", type=Path, help="a file, which appears only when it is complete")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS)

    def handle(self, *, label: str, as_of: str, output: Path | None, **options: Any) -> str | None:
        try:
            if label.count(".") != 1:
                raise CommandError(f"{label!r} is no model's label. Write it as app_label.model, as in study.visit.")
            model: type[Model] = apps.get_model(label)
            moment = timezone.now() if as_of == "now" else parse_datetime(as_of)
            if moment is None:
                raise CommandError(f"{as_of!r} is not a moment. Write it as 2026-05-01T12:00:00+02:00.")
            state = table_for(model).mirror.objects.using(options["database"])
            if options["device"]:
                state = state.for_device(options["device"])
            lines = snapshot_lines(state.as_of(moment, options["timeline"]), options["format"])
            if output is not None:
                write_whole(output, lines)
                return f"Wrote {output}."
            for line in lines:
                self.stdout.write(line, ending="")
        except BrokenPipeError:  # whoever read the lines has enough of them, as `head` has
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (AuditError, LookupError, OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        return None
