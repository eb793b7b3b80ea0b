"""Order, deferral, leases, dead letters and counters: what stands in the tables, with the clock in the test's hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from sync_api.exports import tasks as queue
from sync_api.exports.conversation import ExportState
from sync_api.models import ExportTask
from syncserver.observatory.records import update_camera_status
from tests.integration.exports.conftest import FILES, Pair, told
from tests.observatory_data import CAMERA, DAY, file_at, status

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"])

COMPLETE, FAILED, CONFUSED = ExportState.COMPLETE, ExportState.FAILED, ExportState.CONFUSED


@pytest.fixture
def filled(pair: Pair) -> Pair:
    """Three loose files at the source."""
    update_camera_status(status(), CAMERA, DAY - timedelta(days=1), alias=pair.source)
    for number in range(3):
        file_at(pair.source, DAY + timedelta(minutes=number), f"file {number}".encode())
    return pair


def complete(request: httpx.Request) -> httpx.Response:
    return told(200, {"state": "complete"})


def test_a_failure_defers_all_due_tasks_by_1800_seconds(filled: Pair) -> None:
    filled.road.intercept = lambda request: told(503)
    configuration = filled.configure(FILES)
    filled.exporter.mark()
    assert filled.exporter.handle_next_export() is FAILED
    filled.road.intercept = complete
    filled.clock.forward(1_799)
    assert filled.exporter.handle_next_export() is None
    filled.clock.forward(1)
    assert filled.exporter.handle_next_export() is COMPLETE
    fresh = filled.fresh(configuration)
    assert (fresh.failures, fresh.failed_count, fresh.completed_count) == (0, 1, 1)


def test_retry_after_is_honoured_and_jitter_comes_on_top(filled: Pair) -> None:
    filled.exporter.jitter = lambda least, most: most
    filled.road.intercept = lambda request: told(429, headers={"Retry-After": "7200"})
    configuration = filled.configure(FILES)
    filled.exporter.mark()
    assert filled.exporter.handle_next_export() is FAILED
    assert filled.fresh(configuration).deferred_until == filled.clock.now + timedelta(seconds=7_200 + 300)


def test_another_configuration_goes_on_while_one_is_deferred(filled: Pair) -> None:
    filled.configure(FILES, name="bad", target_url="http://localhost/elsewhere")
    filled.configure(FILES, name="good")
    report = filled.exporter.run()
    assert report.ended[FAILED] == 1
    assert report.ended[COMPLETE] == 3


def test_an_entity_that_is_always_refused_ends_as_dead_and_the_others_pass(filled: Pair) -> None:
    configuration = filled.configure(FILES)
    filled.exporter.mark()
    poison = filled.tasks()[0].entity

    def refuses(request: httpx.Request) -> httpx.Response:
        return told(422) if poison.encode() in request.content else complete(request)

    filled.road.intercept = refuses
    for _ in range(6):
        filled.exporter.run()
        filled.clock.forward(1_801)
    states = {task.entity: task.state for task in filled.tasks()}
    assert states.pop(poison) == "dead"
    assert set(states.values()) == {"complete"}
    fresh = filled.fresh(configuration)
    assert (fresh.is_enabled, fresh.dead_count, fresh.completed_count) == (True, 1, 2)
    filled.road.intercept = complete
    assert queue.revive(filled.source, configuration, now=filled.clock.now) == 1
    assert filled.exporter.handle_next_export() in (COMPLETE, None)


def test_no_connection_is_no_fault_of_the_task(filled: Pair) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no road")

    filled.road.intercept = broken
    configuration = filled.configure(FILES)
    for _ in range(3):
        filled.exporter.run()
        filled.clock.forward(1_801)
    assert {task.attempts for task in filled.tasks()} == {0}
    assert filled.fresh(configuration).last_error == "no connection"


@pytest.mark.parametrize(
    ("status_code", "content", "state"),
    [
        (200, {"state": "marvellous"}, CONFUSED),
        (200, b"<html>a login page</html>", CONFUSED),
        (200, b"[1]", CONFUSED),
        (200, {"state": "failed", "message": "no"}, FAILED),
        (200, {"state": "need_status", "status_id": "x"}, FAILED),
        (200, {"state": "need_status", "status_id": "0" * 32}, FAILED),
        (200, {"state": "need_file_data", "file_id": "0" * 32}, FAILED),
        (200, {"state": "need_file_data", "file_id": {"a": 1}}, FAILED),
        (200, {"state": "continue"}, FAILED),
        (200, {"state": "continue-nocache"}, FAILED),
        (302, b"", FAILED),
        (401, b"", FAILED),
        (500, b"", FAILED),
        (200, b" " * 70_000, FAILED),
    ],
)
def test_a_bad_answer_ends_the_turn(filled: Pair, status_code: int, content: Any, state: ExportState) -> None:
    location = {"Location": "http://localhost/elsewhere"}
    filled.road.intercept = lambda request: told(status_code, content, location)
    filled.configure(FILES)
    filled.exporter.mark()
    assert filled.exporter.handle_next_export() is state
    assert len(filled.road.requests) <= 4
    assert all(path == "/compat/meteorpi/import" for path, _ in filled.road.requests), "a redirect was followed"


def test_a_lease_keeps_others_away_until_it_is_over(filled: Pair) -> None:
    filled.configure(FILES)
    filled.exporter.mark()
    first = queue.claim(filled.source, now=filled.clock.now, count=2)
    second = queue.claim(filled.source, now=filled.clock.now, count=2)
    assert first is not None
    assert second is not None
    assert not {task.pk for task in first.tasks} & {task.pk for task in second.tasks}
    assert queue.claim(filled.source, now=filled.clock.now, count=2) is None
    filled.clock.forward(301)  # both crashed
    again = queue.claim(filled.source, now=filled.clock.now, count=10)
    assert again is not None
    assert len(again.tasks) == 3
    assert queue.complete(filled.source, first, first.tasks, filled.clock.now) == 0, "it has lost its lease"
    assert not queue.renew(filled.source, first, first.tasks, filled.clock.now)


def test_a_task_is_unique_for_configuration_entity_and_version(filled: Pair) -> None:
    configuration = filled.configure(FILES)
    filled.exporter.mark()
    task = filled.tasks()[0]
    twin = ExportTask(
        configuration=configuration, entity=task.entity, version=task.version, due_at=task.due_at, marked_at=task.due_at
    )
    made = ExportTask.objects.using(filled.source).bulk_create([twin], ignore_conflicts=True)
    assert len(made) == 1
    assert len(filled.tasks()) == 3


def test_statements_do_not_depend_on_the_number_of_entities(filled: Pair) -> None:
    filled.road.intercept = complete
    filled.configure(FILES)
    counts = []
    for more in (0, 20):
        for number in range(more):
            file_at(filled.source, DAY + timedelta(hours=1, minutes=number), f"more {number}".encode())
        with CaptureQueriesContext(connections[filled.source]) as statements:
            filled.exporter.mark()
            while filled.exporter.send_next(100):
                pass
        counts.append(len(statements))
    assert counts[0] == counts[1]
    assert {task.state for task in filled.tasks()} == {"complete"}


def test_a_search_that_cannot_be_applied_any_more_disables_with_the_reason(filled: Pair) -> None:
    configuration = filled.configure(FILES, {"colour": "red"})
    assert filled.exporter.mark() == 0
    fresh = filled.fresh(configuration)
    assert not fresh.is_enabled
    assert "search is not valid" in fresh.last_error
