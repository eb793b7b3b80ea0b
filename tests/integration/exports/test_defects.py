"""The 13 defects of the original that were reproduced (`spec/meteorpi.md`, section 6), each as a test of ours."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from sync_api.exports.conversation import ExportState
from sync_api.models import ExportConfiguration, ExportTask, ImportSession
from syncserver.observatory.high_water import set_high_water_mark
from syncserver.observatory.models import CameraStatus, Event, FileRecord
from syncserver.observatory.records import get_camera_status, update_camera_status, valid_to
from syncserver.observatory.search import search_events, search_files
from syncserver.observatory.wire import event_dict, parse_event
from tests.integration.exports.conftest import EVENTS, FILES, Pair, path_of, told
from tests.observatory_data import CAMERA, DAY, all_events, event_at, file_at, status

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"])

COMPLETE, FAILED = ExportState.COMPLETE, ExportState.FAILED


@pytest.fixture
def event(pair: Pair) -> Event:
    """One event with two files at the source."""
    update_camera_status(status(), CAMERA, DAY - timedelta(days=1), alias=pair.source)
    files = [file_at(pair.source, DAY, f"file {part}".encode()) for part in range(2)]
    return event_at(pair.source, DAY, files)


def next_export(pair: Pair) -> ExportState | None:
    pair.exporter.mark()
    return pair.exporter.handle_next_export()


def test_01_a_cache_miss_is_answered_with_continue_nocache(pair: Pair, event: Event) -> None:
    forgotten = []

    def forget_once(request: httpx.Request) -> None:
        if b"cached_entity" in request.content and not forgotten:
            forgotten.append(ImportSession.objects.using(pair.target).all().delete())

    pair.road.intercept = forget_once
    pair.configure(EVENTS)
    assert next_export(pair) is COMPLETE
    assert pair.road.told[:4] == ["event", "status", "cached_entity", "event"]
    assert all_events(pair.target) == all_events(pair.source)


def test_02_a_corrupt_local_file_is_sent_never_and_ends_as_dead(pair: Pair, event: Event) -> None:
    damaged = event.files.first()
    assert damaged is not None
    path_of(pair.source, damaged.sha256).write_bytes(b"other.")
    pair.configure(EVENTS)
    states = []
    for _ in range(5):
        states.append(next_export(pair))
        pair.clock.forward(4_000)
    assert states == [FAILED] * 3 + [None] * 2
    assert pair.road.told.count("data") <= 1, "the whole file at most"
    task = pair.tasks()[0]
    assert (task.state, task.attempts) == ("dead", 3)
    assert "damaged" in task.last_error


def test_02_a_target_that_asks_for_ever_is_not_followed(pair: Pair, event: Event) -> None:
    file_id = event.files.earliest("file_id").file_id.hex

    def asks_again(request: httpx.Request) -> httpx.Response:
        state = (
            {"state": "continue"} if "/data/" in request.url.path else {"state": "need_file_data", "file_id": file_id}
        )
        return told(200, state)

    pair.road.intercept = asks_again
    pair.configure(EVENTS)
    assert next_export(pair) is FAILED
    assert pair.road.told == ["event", "data", "cached_entity"]


def test_03_truncated_bytes_at_the_target_are_asked_for_again(pair: Pair, event: Event) -> None:
    pair.configure(EVENTS)
    assert next_export(pair) is COMPLETE
    file = event.files.earliest("file_id")
    (damaged,) = pair.road.folder.rglob(file.sha256)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    pair.road.requests.clear()
    pair.configure(EVENTS, name="again")
    assert next_export(pair) is COMPLETE
    assert pair.road.told == ["event", "data", "cached_entity"]
    assert damaged.read_bytes() == path_of(pair.source, file.sha256).read_bytes()


def test_04_a_missing_local_file_stops_nothing_else(pair: Pair, event: Event) -> None:
    missing = event.files.earliest("file_id")
    path_of(pair.source, missing.sha256).unlink()
    good = event_at(pair.source, DAY + timedelta(hours=1), [file_at(pair.source, DAY, b"good")])
    configuration = pair.configure(EVENTS)
    other = pair.configure(FILES, {"exclude_events": False, "after": 0})
    report = pair.exporter.run()
    assert report.ended[FAILED] == 2, "the event, and the missing file by itself"
    assert Event.objects.using(pair.target).get().pk == good.pk
    assert FileRecord.objects.using(pair.target).count() == 2
    for one in (configuration, other):
        assert pair.fresh(one).is_enabled
        assert pair.fresh(one).deferred_until is None


def test_05_two_events_share_a_file(pair: Pair, event: Event) -> None:
    shared = list(event.files.all())
    event_at(pair.source, DAY + timedelta(minutes=1), shared[:1])
    pair.configure(EVENTS)
    assert pair.exporter.run().ended[COMPLETE] == 2
    assert all_events(pair.target) == all_events(pair.source)
    assert pair.road.told.count("data") == 2, "each file once"


def test_06_the_target_has_a_newer_status_of_its_own(pair: Pair, event: Event) -> None:
    newer = update_camera_status(status(lens="another"), CAMERA, DAY + timedelta(days=9), alias=pair.target)
    set_high_water_mark(CAMERA, DAY + timedelta(days=10), alias=pair.target)
    pair.configure(EVENTS)
    assert next_export(pair) is COMPLETE
    assert all_events(pair.target) == all_events(pair.source)
    known = list(CameraStatus.objects.using(pair.target).order_by("valid_from"))
    assert [one.pk for one in known] == [event.status_id, newer.pk]
    assert valid_to(known[0], alias=pair.target) == newer.valid_from


def test_07_enabling_again_sticks(pair: Pair, event: Event) -> None:
    pair.road.intercept = lambda request: told(503)
    configuration = pair.configure(EVENTS)
    for _ in range(4):
        assert next_export(pair) is FAILED
        pair.clock.forward(1_801)
    disabled = pair.fresh(configuration)
    assert (disabled.is_enabled, disabled.failures) == (False, 4)
    assert next_export(pair) is None
    disabled.is_enabled = True
    disabled.save(using=pair.source)
    assert next_export(pair) is FAILED
    again = pair.fresh(configuration)
    assert (again.is_enabled, again.failures) == (True, 1)
    pair.road.intercept = None
    pair.clock.forward(1_801)
    assert next_export(pair) is COMPLETE
    assert pair.fresh(configuration).failures == 0


def test_07_enabling_again_by_update_sticks_too(pair: Pair, event: Event) -> None:
    pair.road.intercept = lambda request: told(503)
    configuration = pair.configure(EVENTS)
    rows = ExportConfiguration.objects.using(pair.source).filter(pk=configuration.pk)
    rows.update(failures=4, disabled_at=pair.clock.now)
    assert next_export(pair) is FAILED
    assert pair.fresh(configuration).is_enabled


def test_08_milliseconds_are_kept(pair: Pair, event: Event) -> None:
    pair.configure(EVENTS)
    assert next_export(pair) is COMPLETE
    arrived = Event.objects.using(pair.target).get()
    assert arrived.event_time == event.event_time == DAY
    assert arrived.event_time.microsecond == 123_000
    assert pair.road.requests[0][1]["event"]["event_time"] % 1_000 == 123


def test_09_a_changed_body_under_the_same_id_replaces_the_cached_one(pair: Pair, event: Event) -> None:
    pair.configure(EVENTS)
    loaded = Event.objects.using(pair.source).prefetch_related("meta", "files__meta", "files__camera").get()
    body = event_dict(loaded)
    line = pair.exporter.connect(ExportConfiguration.objects.using(pair.source).get())
    assert line.post({"type": "event", "event": body}).body == {"state": "need_status", "status_id": body["status_id"]}
    assert line.post({"type": "event", "event": {**body, "event_type": "meteorpi:changed"}}).status == 200
    session = ImportSession.objects.using(pair.target).get()
    assert session.body["event_type"] == "meteorpi:changed"


def test_10_exclude_imported(pair: Pair, event: Event) -> None:
    pair.configure(EVENTS)
    assert next_export(pair) is COMPLETE
    assert search_events({}, alias=pair.target).count == 1
    assert search_events({"exclude_imported": True}, alias=pair.target).count == 0
    assert search_files({"exclude_imported": True}, alias=pair.target).count == 0
    assert search_events({"exclude_imported": True}, alias=pair.source).count == 1


def test_11_a_rollback_leaves_no_stale_validity_range(pair: Pair) -> None:
    first = update_camera_status(status(), CAMERA, DAY, alias=pair.source)
    update_camera_status(status(lens="second"), CAMERA, DAY + timedelta(days=2), alias=pair.source)
    set_high_water_mark(CAMERA, DAY + timedelta(days=3), alias=pair.source)
    assert valid_to(first, alias=pair.source) == DAY + timedelta(days=2)
    set_high_water_mark(CAMERA, DAY + timedelta(days=1), alias=pair.source)
    assert valid_to(first, alias=pair.source) is None
    assert get_camera_status(CAMERA, DAY + timedelta(days=9), alias=pair.source) == first


def test_12_ranges_hold_their_last_byte(pair: Pair, event: Event, settings: Any) -> None:
    file = event.files.earliest("file_id")
    whole = path_of(pair.source, file.sha256).read_bytes()
    settings.SYNC_SERVER_DATABASE = pair.source
    viewer = get_user_model()._default_manager.db_manager("default").create_superuser("viewer", password="pw")
    client = Client()
    client.force_login(viewer)
    address = f"/observatory/files/{file.file_id}/content"
    size = len(whole)
    for asked, first, last in (
        ("bytes=0-0", 0, 0),
        ("bytes=1-3", 1, 3),
        (f"bytes=2-{size - 1}", 2, size - 1),
        (f"bytes=2-{size + 9}", 2, size - 1),
        ("bytes=-2", size - 2, size - 1),
        ("bytes=3-", 3, size - 1),
    ):
        answer = client.get(address, headers={"Range": asked})
        assert answer.status_code == 206, asked
        assert b"".join(answer.streaming_content) == whole[first : last + 1]
        assert answer["Content-Range"] == f"bytes {first}-{last}/{size}"
        assert answer["Content-Length"] == str(last - first + 1)
    assert b"".join(client.get(address).streaming_content) == whole
    beyond = client.get(address, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond["Content-Range"]) == (416, f"bytes */{size}")


def test_13_json_is_read_as_json(pair: Pair, event: Event) -> None:
    body = {**event_dict(event), "meta": [{"type": "number", "key": "ns:small", "value": 1e-07}]}
    text = json.dumps({"type": "event", "event": body})
    assert "1e-07" in text
    assert parse_event(json.loads(text)["event"]).meta[0].value == 1e-07
    pair.configure(EVENTS)
    line = pair.exporter.connect(ExportConfiguration.objects.using(pair.source).get())
    assert line.post({"type": "event", "event": body}).status == 200
    assert ImportSession.objects.using(pair.target).get().body["meta"][0]["value"] == 1e-07
    assert not ExportTask.objects.using(pair.source).exists()
