"""On a laptop: rows of one table, each inserted and corrected in one unit."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from sync_api.capture import sync_context
from tests.portal.models import RodentSpecies


class Command(BaseCommand):
    help = "Makes rows FIRST to LAST - 1."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("first", type=int)
        parser.add_argument("last", type=int)
        parser.add_argument("--database", default="default")

    def handle(self, *, first: int, last: int, database: str, **options: Any) -> None:
        with sync_context(user="portal", reason="kill test"):
            for number in range(first, last):
                with transaction.atomic(using=database):
                    row = RodentSpecies(speciescode=f"R{number}", taxa="Rodent")
                    row.save(using=database)
                    row.commonname = f"Rodent {number}"
                    row.save(using=database)
