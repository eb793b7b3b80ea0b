"""The acceptance cases of MeteorPi's own tests, `spec/meteorpi.md` section 6, driven step by step."""

from __future__ import annotations

from typing import Any

import pytest

from sync_api.exports.conversation import ExportState
from sync_api.models import ImportedContent, ImportSession
from syncserver.observatory.models import CameraStatus, Event
from tests.integration.exports.conftest import EVENTS, FILES, Pair
from tests.observatory_data import all_events, all_files, fill

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"])

LOOSE = {"exclude_events": True}


@pytest.mark.parametrize(("entity_type", "search", "count"), [(EVENTS, {}, 5), (FILES, LOOSE, 6)])
def test_marking(pair: Pair, entity_type: str, search: dict[str, Any], count: int) -> None:
    fill(pair.source)
    configuration = pair.configure(entity_type, search, is_enabled=False)
    assert pair.exporter.mark() == 0
    configuration.is_enabled = True
    configuration.save(using=pair.source)
    assert pair.exporter.mark() == count
    assert pair.exporter.mark() == 0
    states = [pair.exporter.handle_next_export() for _ in range(count + 1)]
    assert states == [*[ExportState.COMPLETE] * count, None]
    assert pair.exporter.mark() == 0
    assert pair.fresh(configuration).completed_count == count


def test_drain_goes_by_files_then_events_by_time(pair: Pair) -> None:
    fill(pair.source)
    pair.configure(FILES, LOOSE)
    pair.clock.forward(1)
    pair.exporter.mark()
    pair.configure(EVENTS)
    pair.clock.forward(1)
    pair.exporter.mark()
    while pair.exporter.handle_next_export():
        pass
    sent = [
        (body["type"], body[body["type"]][f"{body['type']}_time"])
        for _, body in pair.road.requests
        if isinstance(body, dict) and body["type"] in ("file", "event")
    ]
    assert [kind for kind, _ in sent] == ["file"] * 6 + ["event"] * 5
    assert sent == sorted(sent, key=lambda one: (one[0] == "event", one[1]))


@pytest.mark.parametrize("what", ["files", "events with files", "everything"])
def test_replica_equals_source(pair: Pair, what: str) -> None:
    fill(pair.source)
    if what != "events with files":
        pair.configure(FILES, LOOSE if what == "files" else {})
    if what != "files":
        pair.configure(EVENTS)
    report = pair.exporter.run()
    assert report.ended[ExportState.FAILED] == report.ended[ExportState.CONFUSED] == 0
    loose, events = all_files(pair.source, loose=True), all_events(pair.source)
    assert all_events(pair.target) == ([] if what == "files" else events)
    assert all_files(pair.target, loose=True) == ([] if what == "events with files" else loose)
    if what == "everything":
        assert all_files(pair.target) == all_files(pair.source)
    assert len(pair.road.requests) == len({str(one) for one in pair.road.requests}) or "data" in pair.road.told
    assert not ImportSession.objects.using(pair.target).exists()
    assert not ImportedContent.objects.using(pair.target).exists()
    assert CameraStatus.objects.using(pair.target).count() == 1


def test_the_handshake_is_the_seeds(pair: Pair) -> None:
    fill(pair.source)
    pair.configure(EVENTS)
    pair.exporter.mark()
    assert pair.exporter.handle_next_export() is ExportState.COMPLETE
    assert pair.exporter.handle_next_export() is ExportState.COMPLETE
    first = ["event", "status", "cached_entity", "data", "cached_entity"]
    second = ["event", "data", "cached_entity", "data", "cached_entity"]
    assert pair.road.told == first + second
    path, _ = pair.road.requests[3]
    event = pair.road.requests[0][1]["event"]
    file = event["files"][0]
    assert path == f"/compat/meteorpi/import/data/{file['file_id']}/{file['md5']}"
    assert set(event) == {"event_id", "camera_id", "event_time", "event_type", "status_id", "files", "meta"}
    assert "file_name" not in file, "null fields are left out"


def test_a_configuration_added_in_mid_run_is_served(pair: Pair) -> None:
    fill(pair.source)
    pair.configure(FILES, LOOSE)

    class Twice:
        """A scheduler that runs the work, lets an operator add a configuration, and runs it again."""

        def repeat(self, work: Any, *, seconds: float) -> None:
            assert seconds == 300
            work()
            pair.configure(EVENTS)
            pair.clock.forward(seconds)
            work()

    pair.exporter.scheduler = Twice()
    pair.exporter.start()
    assert all_events(pair.target) == all_events(pair.source)
    assert all_files(pair.target) == all_files(pair.source)


def test_an_entity_that_changed_is_exported_again(pair: Pair) -> None:
    fill(pair.source)
    pair.configure(EVENTS)
    pair.exporter.run()
    event = Event.objects.using(pair.source).earliest("event_time")
    event.event_type, event.revision = "meteorpi:satellite", event.revision + 1
    event.save(using=pair.source)
    assert pair.exporter.mark() == 1
    assert pair.exporter.handle_next_export() is ExportState.COMPLETE
    assert Event.objects.using(pair.target).get(pk=event.pk).event_type == "meteorpi:satellite"
    assert all_events(pair.target) == all_events(pair.source)
