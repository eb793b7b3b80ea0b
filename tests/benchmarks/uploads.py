"""Uploading a table in one step over HTTP, against its floor; SQL statements by the number of rows.

new, identical, modified (every row) and preserved (everything leaves the era NOW). The original does 255-1,010 new
rows/s, 3,500-6,700 identical and 480-1,330 modified ones; the aim is twenty times that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import orjson
from django.contrib.auth import get_user_model
from django.db import connections
from django.test.utils import CaptureQueriesContext

from audit.models import Device
from sync_api.uploads.operations import upload_entire_database
from tests.benchmarks import data, databases, floor, road
from tests.benchmarks.bench.models import SyncedRecord
from tests.benchmarks.figures import Figure, median, ratio
from tests.benchmarks.way import null_server

REPEATS = 3
STATEMENT_ROWS = (100, 2_000)
TABLE = SyncedRecord._meta.db_table
MIRROR = f"{TABLE}_mirror"
AIMS = {"new": ">= 20200", "identical": ">= 134000", "modified": ">= 26600", "preserved": ""}
USER, PASSWORD, DEVICE = "nurse", "a-long-secret-of-a-nurse", "tablet-1"


def run(rows: int) -> Iterator[Figure]:
    for server in databases.SERVERS:
        databases.create(server)
        try:
            prepare(server)
            yield from measure(server, rows)
            if rows >= max(STATEMENT_ROWS):
                yield from statements(server)
        finally:
            databases.remove(server)


def prepare(server: str) -> None:
    get_user_model().objects.db_manager(server).create_superuser(USER, password=PASSWORD)
    Device.objects.using(server).create(name=DEVICE, kind=Device.Kind.STATE)


def measure(server: str, rows: int) -> Iterator[Figure]:
    first, second = bodies(rows)
    found: dict[str, list[float]] = {name: [] for name in AIMS}
    floors: dict[str, list[float]] = {name: [] for name in AIMS}
    databases.save(server)
    for _ in range(REPEATS):
        databases.restore(server)
        with road.serving(server) as web, null() as nothing, httpx.Client(timeout=600, auth=(USER, PASSWORD)) as client:
            client.get(f"{web.url}/api/v1/server").raise_for_status()  # the process has loaded everything
            for name, body in (("new", first), ("identical", first), ("modified", second)):
                found[name].append(seconds_of(send, client, web.url, body, False, counts_of(name, rows)))
                floors[name].append(floor_of(server, name, nothing, body))
            empty = {"preserved": 2 * rows, "identical": rows}
            found["preserved"].append(seconds_of(send, client, web.url, second, True, empty))
            floors["preserved"].append(floor_of(server, "preserved", nothing, second))
    vendor = databases.vendor(server)
    for name, seconds in found.items():
        yield Figure("uploads", f"{name} (aim {AIMS[name] or 'none'})", vendor, rows, rows / median(seconds), "rows/s")
        yield Figure("uploads", f"floor / {name}", vendor, rows, ratio(floors[name], seconds), "x")


def bodies(rows: int) -> tuple[bytes, bytes]:
    """The table twice: the second time, each row with another score."""
    told = [row | {"id": str(row["id"]), "site_id": str(row["site_id"])} for row in data.record_rows(rows, seed="up")]
    told = [row | {"seen_on": str(row["seen_on"])} for row in told]
    return packed(told), packed([row | {"score": row["score"] + 1} for row in told])


def packed(rows: list[dict[str, Any]]) -> bytes:
    return orjson.dumps({"device": DEVICE, "tables": {TABLE: rows}})


def counts_of(name: str, rows: int) -> dict[str, int]:
    return {
        "new": {"added": rows},
        "identical": {"identical": rows},
        "modified": {"added": rows, "modified": rows},
    }[name]


def send(client: httpx.Client, url: str, body: bytes, preserving: bool, counts: dict[str, int]) -> None:
    if preserving:
        body = body[:1] + b'"preserving":true,' + body[1:]
    answer = client.post(f"{url}/api/v1/uploads/one-step", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 201, answer.text
    assert answer.json()["tables"] == {TABLE: counts}


def floor_of(server: str, name: str, null_url: str, body: bytes) -> float:
    """The bytes to a server that does nothing, their decoding, and the raw SQL that the case cannot do without."""
    posted = floor.post(null_url, [body])
    began = time.perf_counter()
    rows = orjson.loads(body)["tables"][TABLE]
    decoded = time.perf_counter() - began
    if name == "new":
        return posted + decoded + insert(server)
    if name == "identical":
        return posted + decoded + compare(server, rows)
    if name == "modified":
        return posted + decoded + compare(server, rows) + insert(server) / 2
    return posted + decoded + compare(server, rows)


def insert(server: str) -> float:
    """Seconds to insert the mirror's rows into an empty copy of it."""
    work = floor.insert_sqlite if databases.vendor(server) == "sqlite" else floor.insert_postgres
    return work(server, MIRROR, 10**9)


def compare(server: str, rows: list[dict[str, Any]]) -> float:
    """Seconds to read the current rows and look at one value of each."""
    began = time.perf_counter()
    with connections[server].cursor() as cursor:
        cursor.execute(f'SELECT id, score, name, team, status, note, age, weight, seen_on, site_id FROM "{MIRROR}"')
        known = {str(row[0]).replace("-", ""): row for row in cursor.fetchall()}
    sum(known[row["id"].replace("-", "")][1] == row["score"] for row in rows)
    seconds = time.perf_counter() - began
    connections[server].close()
    return seconds


def statements(server: str) -> Iterator[Figure]:
    """SQL statements of one upload, of few rows and of many: their number must not depend on the rows."""
    databases.restore(server)
    user = get_user_model().objects.using(server).get(username=USER)
    device = Device.objects.using(server).get(name=DEVICE)
    counted = []
    for rows in STATEMENT_ROWS:
        first, second = (orjson.loads(body)["tables"] for body in bodies(rows))
        for tables, preserving in ((first, False), (first, False), (second, False), (second, True)):
            with CaptureQueriesContext(connections[server]) as context:
                upload_entire_database(server, user=user, device=device, tables=tables, preserving=preserving)
            counted.append(len(context))
    half = len(counted) // 2
    vendor = databases.vendor(server)
    for name, few, many in zip(AIMS, counted[:half], counted[half:], strict=True):
        yield Figure("uploads", f"{name}: statements per upload", vendor, STATEMENT_ROWS[1], many, "", f"<= {few}")
    connections[server].close()


def seconds_of(action: Callable[..., None], *arguments: Any) -> float:
    began = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - began


class null:  # noqa: N801 (a context manager, read as a word)
    """A server that takes any body and does nothing with it."""

    def __enter__(self) -> str:
        self.web = null_server()
        return self.web.url

    def __exit__(self, *error: object) -> None:
        self.web.stop()
