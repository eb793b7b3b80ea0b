"""Requests that a push makes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.db import transaction

from sync_api.capture import sync_context
from tests.benchmarks import road
from tests.benchmarks.bench.models import SyncedRecord
from tests.benchmarks.figures import Figure

CHANGED = 100


def run(rows: int) -> Iterator[Figure]:
    with road.enrolled("server") as web:
        road.fill(road.LAPTOP, rows)
        road.push()
        before = len(web.requests())
        began = time.perf_counter()
        road.push()
        seconds = time.perf_counter() - began
        nothing = len(web.requests()) - before
        yield Figure("push", "requests with nothing to send", "sqlite", rows, nothing, "requests", "<= 1")
        yield Figure("push", "seconds with nothing to send", "sqlite", rows, seconds, "s")
        change()
        before = len(web.requests())
        road.push()
        sent = len(web.requests()) - before
        yield Figure("push", f"requests for {CHANGED} changed rows", "sqlite", rows, sent, "requests", "<= 3")


def change() -> None:
    """CHANGED rows saved one by one, each in a unit of its own."""
    with sync_context(user="nurse-7", reason="correction"):
        for record in SyncedRecord.objects.using(road.LAPTOP).order_by("pk")[:CHANGED]:
            record.score += 1
            with transaction.atomic(using=road.LAPTOP):
                record.save(using=road.LAPTOP)
