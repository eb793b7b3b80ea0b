"""The whole way, push + accept + consume over HTTP, against its floor; statements per batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import connections

from audit.index import register, unregister
from audit.models import IndexEntry
from sync_api.models import IncomingTransaction
from sync_api.sealing import seal
from tests.benchmarks import databases, floor, road
from tests.benchmarks.bench.models import SyncedRecord
from tests.benchmarks.figures import REPEATS, Figure, median, ratio
from tests.benchmarks.follower import following, wait_until_consumed
from tests.processes import Installation, Web, start_web

CONSUMED_PER_SECOND = {"sqlite": ">= 23000", "postgresql": ">= 15400"}
STATEMENT_LINES = (100, 5_000)


def run(rows: int) -> Iterator[Figure]:
    for server in databases.SERVERS:
        yield from measure(server, rows)
    if rows >= max(STATEMENT_LINES):
        for server in databases.SERVERS:
            yield from statements(server)


def measure(server: str, rows: int) -> Iterator[Figure]:
    pushes, consumes, floors, followed, indexed = [], [], [], [], []
    with road.enrolled(server) as web:
        road.fill(road.LAPTOP, rows)
        for alias in (road.LAPTOP, server):
            databases.save(alias)
        null = null_server()
        try:
            for _ in range(REPEATS):
                restore(server, web)
                pushes.append(road.seconds_of(road.push))
                consumes.append(road.seconds_of(road.consume, server))
                batches = road.envelopes()
                lines = max(count for _, count in batches)
                floors.append(floor.post(null.url, [content for content, _ in batches]) + floor.insert(server, lines))
                restore(server, web)
                road.push()
                with every_record_indexed():
                    indexed.append(road.seconds_of(road.consume, server))
                    assert IndexEntry.objects.using(server).filter(model="bench.syncedrecord").count() == rows
                restore(server, web)
                with following(server):
                    followed.append(road.seconds_of(push_until_consumed, server))
            assert IncomingTransaction.objects.using(server).filter(is_consumed=False).count() == 0
        finally:
            null.stop()
        assert web.process.poll() is None
    yield from figures(databases.vendor(server), rows, pushes, consumes, floors, followed)
    yield Figure("way", "consume: indexed / not indexed", databases.vendor(server), rows, ratio(indexed, consumes), "x")


@contextmanager
def every_record_indexed() -> Iterator[None]:
    """Inside, the record index has an entry for each record, with its site's name."""
    register(SyncedRecord, identifiers=("name",), parent="site")
    try:
        yield
    finally:
        unregister(SyncedRecord)


def restore(server: str, web: Web) -> None:
    for alias in (road.LAPTOP, server):
        databases.restore(alias)
    road.wake(web)


def push_until_consumed(server: str) -> None:
    road.push()
    wait_until_consumed(server)


def figures(
    vendor: str, rows: int, pushes: list[float], consumes: list[float], floors: list[float], followed: list[float]
) -> Iterator[Figure]:
    whole = [push + consume for push, consume in zip(pushes, consumes, strict=True)]
    yield Figure("way", "floor / whole way", vendor, rows, ratio(floors, whole), "x", ">= 0.4")
    yield Figure("way", "whole way", vendor, rows, rows / median(whole), "rows/s")
    yield Figure("way", "floor / whole way, consumer beside", vendor, rows, ratio(floors, followed), "x")
    yield Figure("way", "whole way, consumer beside", vendor, rows, rows / median(followed), "rows/s")
    yield Figure("way", "seal, push and accept", vendor, rows, rows / median(pushes), "rows/s")
    aim = CONSUMED_PER_SECOND[vendor]
    yield Figure("way", f"consume (aim {aim})", vendor, rows, rows / median(consumes), "rows/s")
    yield Figure("way", "floor", vendor, rows, rows / median(floors), "rows/s")


def null_server() -> Web:
    folder = Path(settings.FOLDER) / "null"
    folder.mkdir(exist_ok=True)
    nothing = Installation(folder, "server", "null", "sqlite:///null", [])
    return start_web(nothing, application="tests.benchmarks.null:application")


def statements(server: str) -> Iterator[Figure]:
    """Statements of one consumed batch, at few and at many lines."""
    counts = []
    with road.enrolled(server):
        for lines in STATEMENT_LINES:
            road.fill(road.LAPTOP, lines, seed=f"statements {lines}")
            seal(road.LAPTOP)  # as one batch; a push would begin with a smaller one
            road.push()
            counts.append(counted(server))
            yield Figure(
                "way",
                "statements to consume one batch",
                databases.vendor(server),
                lines,
                counts[-1],
                "statements",
            )
    yield Figure(
        "way",
        f"statements at {STATEMENT_LINES[1]:,} lines / at {STATEMENT_LINES[0]}",
        databases.vendor(server),
        max(STATEMENT_LINES),
        counts[1] / counts[0],
        "x",
        "<= 1.0",
    )


def counted(server: str) -> int:
    """How many statements consuming what is held takes; an executemany is one."""
    count = 0

    def count_it(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        nonlocal count
        count += 1
        return execute(sql, params, many, context)

    with connections[server].execute_wrapper(count_it):
        road.consume(server)
    return count
