"""Moving the high-water mark back: what goes, what stays, and how replicas hear of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings

from sync_api.models import ExportTask
from syncserver.observatory.clearing import ClearingRefused, clear_database
from syncserver.observatory.high_water import get_high_water_mark, set_high_water_mark
from syncserver.observatory.models import Camera, Event, FileRecord, Tombstone
from syncserver.observatory.records import (
    StatusMissing,
    get_camera_status,
    import_event,
    update_camera_status,
    valid_to,
)
from syncserver.observatory.wire import parse_event
from tests.integration.exports.conftest import EVENTS, Pair, path_of
from tests.observatory_data import CAMERA, DAY, all_events, all_files, event_at, file_at, status

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"])


def hours(number: float) -> Any:
    return DAY + timedelta(hours=number)


@pytest.fixture
def observed(pair: Pair) -> Pair:
    """Events at hours 1, 2 and 3 with a file each; the last one's file has the bytes of the first one's too."""
    update_camera_status(status(), CAMERA, hours(0), alias=pair.source)
    for number in (1, 2, 3):
        files = [file_at(pair.source, hours(number), b"same" if number != 2 else b"other")]
        event_at(pair.source, hours(number), files)
    set_high_water_mark(CAMERA, hours(4), alias=pair.source)
    return pair


def roll_back(pair: Pair, to: Any, capture: Any) -> None:
    with capture(using=pair.source, execute=True):
        set_high_water_mark(CAMERA, to, alias=pair.source)


def test_what_is_later_goes_and_bytes_go_after_the_commit(
    observed: Pair, django_capture_on_commit_callbacks: Any
) -> None:
    hashes = {file.file_time: file.sha256 for file in FileRecord.objects.using(observed.source)}
    roll_back(observed, hours(1), django_capture_on_commit_callbacks)
    assert [event.event_time for event in Event.objects.using(observed.source)] == [hours(1)]
    assert FileRecord.objects.using(observed.source).get().file_time == hours(1)
    assert get_high_water_mark(CAMERA, alias=observed.source) == hours(1)
    assert not path_of(observed.source, hashes[hours(2)]).exists()
    assert path_of(observed.source, hashes[hours(1)]).exists(), "another record still has these bytes"
    kinds = Tombstone.objects.using(observed.source).values_list("entity_type", flat=True)
    assert sorted(kinds) == ["event", "event", "file", "file"]


def test_bytes_stay_until_the_commit(observed: Pair) -> None:
    other = FileRecord.objects.using(observed.source).get(file_time=hours(2))
    set_high_water_mark(CAMERA, hours(1), alias=observed.source)  # inside the test's transaction
    assert path_of(observed.source, other.sha256).exists()


def test_a_mark_moves_only_where_it_may(observed: Pair) -> None:
    set_high_water_mark(CAMERA, hours(1), allow_rollback=False, alias=observed.source)
    set_high_water_mark(CAMERA, hours(9), allow_advance=False, alias=observed.source)
    assert get_high_water_mark(CAMERA, alias=observed.source) == hours(4)
    assert Event.objects.using(observed.source).count() == 3
    assert get_high_water_mark("unknown", alias=observed.source) is None


def test_the_replica_follows_a_rollback_by_tombstones(observed: Pair, django_capture_on_commit_callbacks: Any) -> None:
    observed.configure(EVENTS, sends_deletions=True)
    observed.exporter.run()
    assert len(all_events(observed.target)) == 3
    roll_back(observed, hours(2), django_capture_on_commit_callbacks)
    observed.exporter.run()
    assert all_events(observed.target) == all_events(observed.source)
    assert all_files(observed.target) == all_files(observed.source)
    assert "tombstone" in observed.road.told


def test_a_target_that_was_not_said_to_take_tombstones_gets_none(observed: Pair) -> None:
    observed.configure(EVENTS)
    observed.exporter.run()
    set_high_water_mark(CAMERA, hours(2), alias=observed.source)
    observed.exporter.run()
    assert "tombstone" not in observed.road.told
    assert not ExportTask.objects.using(observed.source).filter(is_deletion=True).exists()


def test_a_tombstone_never_removes_what_is_the_targets_own(observed: Pair) -> None:
    observed.configure(EVENTS, sends_deletions=True)
    observed.exporter.run()
    Event.objects.using(observed.target).update(imported_by="")
    set_high_water_mark(CAMERA, hours(0.5), alias=observed.source)
    observed.exporter.run()
    assert len(all_events(observed.target)) == 3


def test_an_event_that_loses_a_file_is_exported_again(observed: Pair) -> None:
    late = file_at(observed.source, hours(3.5), b"late")
    first = Event.objects.using(observed.source).get(event_time=hours(1))
    first.files.add(late)
    observed.configure(EVENTS, sends_deletions=True)
    observed.exporter.run()
    set_high_water_mark(CAMERA, hours(3), alias=observed.source)
    observed.exporter.run()
    assert all_events(observed.target) == all_events(observed.source)
    assert first.files.count() == 1


def test_a_status_in_the_past_rolls_the_camera_back(observed: Pair) -> None:
    update_camera_status(status(lens="other"), CAMERA, hours(2), alias=observed.source)
    assert get_high_water_mark(CAMERA, alias=observed.source) == hours(2)
    assert Event.objects.using(observed.source).count() == 2


def test_status_lookup_over_time(pair: Pair) -> None:
    with pytest.raises(StatusMissing):
        file_at(pair.source, hours(0), b"too early")
    made = [update_camera_status(status(lens=f"lens {n}"), CAMERA, hours(n), alias=pair.source) for n in (0, 2, 4)]
    for at, lens in ((0, "lens 0"), (1.99, "lens 0"), (2, "lens 2"), (3, "lens 2"), (9, "lens 4")):
        found = get_camera_status(CAMERA, hours(at), alias=pair.source)
        assert found.lens == lens, at
    assert get_camera_status(CAMERA, hours(-1), alias=pair.source) is None
    assert get_camera_status("another", hours(1), alias=pair.source) is None
    assert [valid_to(one, alias=pair.source) for one in made] == [hours(2), hours(4), None]
    assert file_at(pair.source, hours(3), b"in the second").status_id == made[1].pk


def test_importing_twice_keeps_one(observed: Pair) -> None:
    body = all_events(observed.source)[0]
    data = parse_event(body)
    observed.configure(EVENTS)
    observed.exporter.run()
    import_event(observed.target, data, "replica")
    assert all_events(observed.target) == all_events(observed.source)


def test_clear_database_is_guarded(observed: Pair, django_capture_on_commit_callbacks: Any) -> None:
    with pytest.raises(ClearingRefused):
        clear_database(alias=observed.source)
    assert Event.objects.using(observed.source).count() == 3
    hashes = set(FileRecord.objects.using(observed.source).values_list("sha256", flat=True))
    capture = django_capture_on_commit_callbacks(using=observed.source, execute=True)
    with override_settings(OBSERVATORY_MAY_BE_CLEARED=True), capture:
        clear_database(alias=observed.source)
    assert not any(model.objects.using(observed.source).exists() for model in (Event, FileRecord, Camera, Tombstone))
    assert not any(path_of(observed.source, one).exists() for one in hashes)


def test_a_padded_camera_id_is_the_same_camera(observed: Pair) -> None:
    for body in all_events(observed.source):
        assert parse_event(body) == parse_event({**body, "camera_id": body["camera_id"].ljust(64)})
