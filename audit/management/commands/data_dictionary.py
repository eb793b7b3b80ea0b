"""`manage.py data_dictionary`: what every column of every mirror table means."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS

from audit.reading.dictionary import FORMATS, data_dictionary


class Command(BaseCommand):
    help = "Print the data dictionary: table, column, type, meaning, and who writes it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=list(FORMATS), default="md")
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS)

    def handle(self, **options: Any) -> str:
        return FORMATS[options["format"]](data_dictionary(options["database"]))
