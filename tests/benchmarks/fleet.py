"""A fleet on one server: 1,000 devices push at once to PostgreSQL, then all is consumed.

Each device has its own key, certificate and chain of real, signed batches. One of them brings a backlog of a month:
how long the others wait for it shows whether consuming is fair.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from queue import Empty, SimpleQueue
from typing import Any

import httpx
from django.conf import settings
from django.db.models import Max, Min
from django.test.utils import override_settings

from sync_api.deserializer import consume
from sync_api.models import CaptureSchema, IncomingBatch, OutgoingTransaction
from tests.benchmarks import databases, road
from tests.benchmarks.bench.models import SyncedRecord
from tests.benchmarks.figures import Figure
from tests.benchmarks.way import null_server
from tests.integration.field import Chain, Enrolled, enrolled

SERVER = "server_pg"
CONNECTIONS = 32
BATCHES = 3
LINES = 50
BACKLOG_BATCHES = 200
BATCH_TYPE = "application/vnd.syncserver.batch"


@dataclass(frozen=True)
class Loaded:
    """What one device brings: its token and its batches, in order."""

    device: Enrolled
    batches: list[bytes]


def run(devices: int) -> Iterator[Figure]:
    databases.create(SERVER)
    databases.create(road.LAPTOP)
    try:
        fleet = load_fleet(devices)
        null = null_server()
        try:
            floor = posted(null.url, fleet)
        finally:
            null.stop()
        with road.serving(SERVER) as web:
            took = posted(f"{web.url}/api/v1/batches", fleet)
        yield from accepting(devices, took, floor)
        yield from consuming(devices, fleet)
    finally:
        for alias in (SERVER, road.LAPTOP):
            databases.remove(alias)


def load_fleet(devices: int) -> list[Loaded]:
    """The devices, enrolled; the first one has the backlog."""
    payloads, description = real_payloads()
    fleet = []
    with override_settings(SYNC_KEY_DIR=f"{settings.FOLDER}/fleet-keys"):
        for number in range(devices):
            device = enrolled(SERVER, f"device-{number:04}")
            chain = Chain.fresh(device)
            count = BATCHES if number else BACKLOG_BATCHES
            batches = [
                chain.batch(
                    LINES,
                    models=[description],
                    raw_lines=[
                        f'[{unit},0,"I",0,120,"nurse-7","visit",null,{payload}]'.encode()
                        for unit, payload in enumerate(islice(payloads, LINES))
                    ],
                )
                for _ in range(count)
            ]
            fleet.append(Loaded(device, batches))
    return fleet


def real_payloads() -> tuple[Iterator[str], dict[str, Any]]:
    """Payloads as a laptop captured them, over and over but never twice in one device, and their description."""
    road.fill(road.LAPTOP, BACKLOG_BATCHES * LINES)
    rows = OutgoingTransaction.objects.using(road.LAPTOP).filter(tx_name=SyncedRecord._meta.label_lower)
    schema = CaptureSchema.objects.using(road.LAPTOP).get(tx_name=SyncedRecord._meta.label_lower)
    payloads = cycle(list(rows.order_by("id").values_list("payload", flat=True)))
    return payloads, {**schema.description, "fingerprint": schema.fingerprint}


def posted(url: str, fleet: list[Loaded]) -> list[float]:
    """Seconds of each request; the devices come in turn, CONNECTIONS of them at a time, each in its own order."""
    waiting: SimpleQueue[Loaded] = SimpleQueue()
    for loaded in fleet:
        waiting.put(loaded)
    seconds: list[float] = []
    failed: list[str] = []

    def work() -> None:
        with httpx.Client(timeout=300) as client:
            while True:
                try:
                    loaded = waiting.get_nowait()
                except Empty:
                    return
                for content in loaded.batches:
                    began = time.perf_counter()
                    answer = client.post(
                        url, content=content, headers={"Content-Type": BATCH_TYPE, **loaded.device.headers}
                    )
                    seconds.append(time.perf_counter() - began)
                    if not answer.is_success:
                        failed.append(answer.text[:300])
                        return

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed[0]
    seconds.append(time.perf_counter() - began)
    return seconds


def accepting(devices: int, took: list[float], floor: list[float]) -> Iterator[Figure]:
    *requests, whole = took
    *null_requests, null_whole = floor
    yield Figure("fleet", "accept: batches per second", "postgresql", devices, len(requests) / whole, "batches/s")
    yield Figure("fleet", "accept: rows per second", "postgresql", devices, len(requests) * LINES / whole, "rows/s")
    yield Figure("fleet", f"accept: median of {CONNECTIONS} at once", "postgresql", devices, middle(requests), "ms")
    yield Figure("fleet", f"accept: p99 of {CONNECTIONS} at once", "postgresql", devices, p99(requests), "ms")
    yield Figure("fleet", "null server: p99", "postgresql", devices, p99(null_requests), "ms")
    yield Figure("fleet", "null server / accept, batches per second", "postgresql", devices, null_whole / whole, "x")


def consuming(devices: int, fleet: list[Loaded]) -> Iterator[Figure]:
    """Everything by one consumer. When the last device without a backlog was through, against all."""
    lines = sum(len(loaded.batches) for loaded in fleet) * LINES
    began = time.perf_counter()
    report = consume(SERVER)
    seconds = time.perf_counter() - began
    assert report.total("transactions") == lines, report.errors
    batches = IncomingBatch.objects.using(SERVER)
    times = batches.aggregate(first=Min("consumed_at"), last=Max("consumed_at"))
    others = batches.exclude(epoch__device__name=fleet[0].device.name).aggregate(last=Max("consumed_at"))["last"]
    part = (others - times["first"]) / (times["last"] - times["first"])
    rows_of_others = 1 - len(fleet[0].batches) * LINES / lines
    yield Figure("fleet", "consume: rows per second", "postgresql", devices, lines / seconds, "rows/s")
    yield Figure("fleet", "the others' part of all rows", "postgresql", devices, rows_of_others, "x")
    yield Figure("fleet", "when they were through, as part of all the time", "postgresql", devices, part, "x")


def middle(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) // 2] * 1000


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)] * 1000
