"""What a laptop has made, or what a server holds of it, so that the two can be compared."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import Max, Min

from sync_api.models import IncomingTransaction, OutgoingTransaction, ParkedUnit
from tests.portal.models import RodentSpecies
from tests.portal.revisions import digest

COLUMNS = ("speciescode", "taxa", "commonname")


class Command(BaseCommand):
    help = "Prints {rows, sha256, transactions, versions} as JSON; with --mirror those of the server."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--mirror", action="store_true")
        parser.add_argument("--database", default="default")

    def handle(self, *, mirror: bool, database: str, **options: Any) -> str:
        found = self.mirrored(database) if mirror else self.made(database)
        return json.dumps(found, sort_keys=True)

    def made(self, database: str) -> dict[str, Any]:
        rows, sha256 = digest(RodentSpecies.objects.using(database).values(*COLUMNS), COLUMNS[:1], COLUMNS)
        outgoing = OutgoingTransaction.objects.using(database)
        return {
            "rows": rows,
            "sha256": sha256,
            "transactions": outgoing.count(),
            "versions": outgoing.exclude(action="D").count(),
        }

    def mirrored(self, database: str) -> dict[str, Any]:
        mirror = RodentSpecies.mirror.using(database)
        rows, sha256 = digest(mirror.current().values(*COLUMNS), COLUMNS[:1], COLUMNS)
        incoming = IncomingTransaction.objects.using(database)
        sequence = incoming.aggregate(first=Min("sequence"), last=Max("sequence"))
        transactions = incoming.values("sequence").distinct().count()
        assert incoming.count() == transactions, "a transaction is stored twice"
        assert not transactions or (sequence["first"], sequence["last"]) == (1, transactions), "the log has holes"
        assert not incoming.filter(is_consumed=False).exists(), "something waits"
        assert not ParkedUnit.objects.using(database).exists(), "something is parked"
        return {"rows": rows, "sha256": sha256, "transactions": transactions, "versions": mirror.count()}
