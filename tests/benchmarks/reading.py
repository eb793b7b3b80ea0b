"""Reading a past state from the mirror, beside django-simple-history's `as_of` on the same versions.

Both tables are filled directly with the same histories: VERSIONS versions per record, spread over two years.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections, models

from audit.models import Device
from tests.benchmarks import data, databases
from tests.benchmarks.bench.models import HistoryRecord, SyncedRecord
from tests.benchmarks.figures import REPEATS, Figure, median

VERSIONS = 10
PAGE = 50
STEP = timedelta(days=73)
START = datetime(2024, 1, 1, tzinfo=UTC)
CHUNK = 5_000
PAGES_GROWTH_MAX = 2.0
WARMING = 5
"""Questions asked before measuring, so that both tables' pages are warm."""
SAMPLES = 5
"""Different records, sites and moments asked for in each repetition."""
FEWEST, MOST = 100_000, 1_000_000

first_medians: dict[tuple[str, str, str], float] = {}
"""Medians at FEWEST versions by (database, reader, question), for the growth to MOST."""

Reader = Callable[[datetime], models.QuerySet[Any]]


def run(rows: int) -> Iterator[Figure]:
    for server in databases.SERVERS:
        databases.create(server)
        fill(server, rows)
        yield from measure(server, rows)
        databases.remove(server)


def measure(server: str, rows: int) -> Iterator[Figure]:
    vendor = databases.vendor(server)
    readers: dict[str, Reader] = {
        "mirror": lambda moment: SyncedRecord.mirror.using(server).as_of(moment, "captured"),
        "simple-history": lambda moment: HistoryRecord.history.db_manager(server).as_of(moment),
    }
    for question, ask in QUESTIONS.items():
        seconds: dict[str, list[float]] = {name: [] for name in readers}
        answers: dict[str, set[int]] = {name: set() for name in readers}
        for repeat in range(-WARMING, REPEATS * SAMPLES):
            draw = random.Random(f"{question} {repeat}")
            moment = START + timedelta(seconds=draw.randrange(int(VERSIONS * STEP.total_seconds())))
            key, site = draw.choice(sample_keys(rows)), draw.choice(data.site_rows())["id"]
            for name, reader in readers.items():
                began = time.perf_counter()
                found = len(list(ask(reader(moment), key, site)))
                if repeat >= 0:
                    seconds[name].append(time.perf_counter() - began)
                    answers[name].add(found)
        assert answers["mirror"] == answers["simple-history"], (question, answers)
        yield from figures(question, vendor, rows, seconds)


def figures(question: str, vendor: str, rows: int, seconds: dict[str, list[float]]) -> Iterator[Figure]:
    for name, values in seconds.items():
        yield Figure("reading", f"{question}: {name}", vendor, rows, median(values) * 1000, "ms")
        if rows == FEWEST:
            first_medians[vendor, name, question] = median(values)
    quotient = median(seconds["mirror"]) / median(seconds["simple-history"])
    yield Figure("reading", f"{question}: mirror / simple-history", vendor, rows, quotient, "x", "<= 1.0")
    before = first_medians.get((vendor, "mirror", question))
    if rows == MOST and before:
        bound = "" if question == "all rows of one site" else f"<= {PAGES_GROWTH_MAX}"
        growth = median(seconds["mirror"]) / before
        yield Figure("reading", f"{question}: {MOST:,} / {FEWEST:,}", vendor, rows, growth, "x", bound)


QUESTIONS: dict[str, Callable[[models.QuerySet[Any], Any, Any], models.QuerySet[Any]]] = {
    "one record": lambda past, key, site: past.filter(id=key),
    f"first {PAGE} of a list": lambda past, key, site: past.order_by("id")[:PAGE],
    "all rows of one site": lambda past, key, site: past.filter(**site_filter(past, site)),
}


def site_filter(past: models.QuerySet[Any], site: Any) -> dict[str, Any]:
    return {"site": site} if past.model is SyncedRecord.mirror.model else {"site_id": site}


def sample_keys(rows: int) -> list[Any]:
    """Some of the records' keys."""
    records = data.record_rows(min(1000, rows // VERSIONS), seed="reading 0")
    return [row["id"] for row in records]


def fill(server: str, rows: int) -> None:
    """`rows` versions in both tables: each record changes its score, weight and status every STEP."""
    device = Device.objects.using(server).create(name="laptop-1")
    pending: list[dict[str, Any]] = []
    for version in range(VERSIONS):
        for number, row in enumerate(data.record_rows(rows // VERSIONS, seed="reading 0")):
            row |= {"score": (row["score"] + 17 * version) % 10_000, "version": version, "number": number}
            pending.append(row)
            if len(pending) == CHUNK:
                store(server, device, pending)
                pending = []
    store(server, device, pending)
    if databases.vendor(server) == "postgresql":
        with connections[server].cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE)")  # as autovacuum would have, for both products


def store(server: str, device: Device, rows: list[dict[str, Any]]) -> None:
    mirror, history = SyncedRecord.mirror.model, HistoryRecord.history.model
    versions, entries = [], []
    for row in rows:
        version, number = row.pop("version"), row.pop("number")
        added = START + STEP * version + timedelta(seconds=number)
        removed = added + STEP if version + 1 < VERSIONS else None
        entries.append(history(**row, history_date=added, history_type="+" if version == 0 else "~"))
        site = row.pop("site_id")
        versions.append(
            mirror(
                **row,
                site=site,
                mirror_device=device,
                mirror_era="NOW",
                mirror_current=removed is None,
                mirror_added_at=added,
                mirror_removed_at=removed,
                mirror_captured_at=added,
                mirror_removed_captured_at=removed,
                mirror_captured_by="nurse-7",
                mirror_captured_on="laptop-1/host/laptop",
            )
        )
    mirror._default_manager.using(server).bulk_create(versions)
    history._default_manager.using(server).bulk_create(entries)
