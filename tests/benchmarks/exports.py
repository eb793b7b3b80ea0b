"""Marking and sending as the done tasks grow: the time of the last tenth of the entities against that of the first.

A tenth at a time is added, marked and sent, so that each step meets more done tasks than the one before. The target
answers at once, in this process: what is measured is marking, claiming, reading and settling, not a network.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import IO, Any

from audit.clock import next_moment
from audit.fields import from_microseconds
from audit.models import Device
from sync_api.exports.conversation import Beat, Content, ExportState, Reply
from sync_api.exports.exporter import Exporter, ExportReport
from sync_api.models import ExportConfiguration, ExportTask
from sync_api.transactions import immediate
from syncserver.observatory.models import Camera, CameraStatus, FileRecord
from tests.benchmarks import data, databases
from tests.benchmarks.bench.models import SyncedRecord
from tests.benchmarks.figures import Figure
from tests.observatory_data import status

STEPS = 10
CHUNK = 1_000
START = datetime(2026, 1, 1, tzinfo=UTC)
GROWTH_MAX = "<= 1.5"


class Null:
    """A target that has everything."""

    def post(self, body: dict[str, Any]) -> Reply:
        return Reply(200, {"state": "complete"})

    def post_file(self, path: str, content: Content, source: IO[bytes], beat: Beat) -> Reply:
        raise AssertionError("nothing is asked for")


def run(rows: int) -> Iterator[Figure]:
    for server in databases.SERVERS:
        for kind, protocol in ((Mirrored, "records"), (Registered, "meteorpi")):
            databases.create(server)
            try:
                yield from measure(server, kind(server, rows), rows, protocol)
            finally:
                databases.remove(server)


def measure(server: str, entities: Any, rows: int, protocol: str) -> Iterator[Figure]:
    ExportConfiguration.objects.using(server).create(
        name="all", entity_type=entities.entity_type, protocol=protocol, target_url="https://target", is_enabled=True
    )
    exporter = Exporter(server, lambda configuration: Null())
    step = rows // STEPS
    marking, sending = [], []
    for number in range(STEPS):
        entities.add(number * step, step)
        began = time.perf_counter()
        assert exporter.mark() == step
        marked = time.perf_counter()
        report = ExportReport()
        exporter.drain(report)
        sending.append(time.perf_counter() - marked)
        marking.append(marked - began)
        assert report.ended[ExportState.COMPLETE] == step
    assert ExportTask.objects.using(server).filter(done_at__isnull=False).count() == rows
    began = time.perf_counter()
    assert exporter.mark() == 0
    nothing_new = time.perf_counter() - began
    name, vendor = entities.name, databases.vendor(server)
    for what, seconds in (("marking", marking), ("sending", sending)):
        yield Figure("exports", f"{name}: {what} the first tenth", vendor, rows, step / seconds[0], "entities/s")
        yield Figure("exports", f"{name}: {what} the last tenth", vendor, rows, step / seconds[-1], "entities/s")
    both = [one + other for one, other in zip(marking, sending, strict=True)]
    growth = min(both[-2:]) / min(both[:2])  # of two steps each, so that one hiccup of the machine decides nothing
    yield Figure("exports", f"{name}: time of the last against the first", vendor, rows, growth, "x", GROWTH_MAX)
    yield Figure("exports", f"{name}: marking when nothing is new", vendor, rows, nothing_new * 1000, "ms")


class Mirrored:
    """Current versions of a mirrored model, as a consumer would have committed them."""

    name, entity_type = "mirrored", SyncedRecord._meta.label

    def __init__(self, server: str, rows: int) -> None:
        self.server = server
        self.device = Device.objects.using(server).create(name="laptop-1")
        self.values = data.record_rows(rows, seed="exports")

    def add(self, first: int, count: int) -> None:
        mirror: Any = SyncedRecord.mirror.model
        with immediate(self.server):
            moment = from_microseconds(next_moment(self.server))
            facts = {"mirror_device": self.device, "mirror_era": "NOW", "mirror_current": True}
            rows = (
                mirror(
                    **{name.removesuffix("_id"): value for name, value in values.items()},
                    **facts,
                    mirror_added_at=moment,
                    mirror_captured_at=START + timedelta(seconds=first + place),
                )
                for place, values in enumerate(islice(self.values, count))
            )
            mirror.objects.using(self.server).bulk_create(rows, batch_size=CHUNK)


class Registered:
    """Files of the observatory, an ordinary model, by MeteorPi's protocol: one request each."""

    name, entity_type = "registered", FileRecord._meta.label

    def __init__(self, server: str, rows: int) -> None:
        self.server = server
        camera = Camera.objects.using(server).create(camera_id="camera")
        one: CameraStatus = status(camera=camera, valid_from=START)
        one.save(using=server)
        self.facts: dict[str, Any] = {
            "camera": camera,
            "status": one,
            "time_of_day_ms": 0,
            "mime_type": "image/png",
            "semantic_type": "m:still",
            "file_size": 1,
            "md5": "0" * 32,
            "sha256": "0" * 64,
        }

    def add(self, first: int, count: int) -> None:
        rows = (
            FileRecord(file_id=uuid.uuid4(), file_time=START + timedelta(seconds=first + place), **self.facts)
            for place in range(count)
        )
        FileRecord.objects.using(self.server).bulk_create(rows, batch_size=CHUNK)
