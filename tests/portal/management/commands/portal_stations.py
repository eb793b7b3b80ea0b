"""One station of the way, again and again in one process: what an operator's loop would run."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from tests.portal.revisions import moment_after_now


class Command(BaseCommand):
    help = "Runs COMMAND once for each line read, and prints a JSON line with the moment after it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("command")

    def handle(self, *, command: str, **options: Any) -> None:
        while sys.stdin.readline():
            call_command(command, stdout=io.StringIO())
            self.stdout.write(json.dumps({"moment": moment_after_now()}))
            self.stdout.flush()
