"""Each operator of the searches, with its edges; paging and count; what is not a search."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sync_api.exceptions import ExportSearchInvalid
from syncserver.observatory.records import update_camera_status
from syncserver.observatory.search import search_events, search_files
from syncserver.observatory.wire import MetaData, to_ms
from tests.conftest import SERVERS
from tests.observatory_data import event_at, file_at, status

pytestmark = pytest.mark.django_db(databases=SERVERS)

NIGHT = datetime(2026, 5, 4, 22, 0, tzinfo=UTC)
T = [NIGHT + timedelta(hours=number) for number in range(5)]  # 22:00, 23:00, 00:00, 01:00, 02:00


@pytest.fixture
def filled(server: str, settings: Any, tmp_path: Any) -> str:
    """One event per hour, numbered by metadata; the odd ones of camera b; event 4 has a file, one file is loose."""
    settings.MEDIA_ROOT = str(tmp_path)
    for camera in ("a", "b"):
        update_camera_status(status(), camera, NIGHT - timedelta(days=1), alias=server)
    file = file_at(server, T[4], b"of event", camera_id="a", mime_type="video/mp4", semantic_type="m:video")
    file_at(server, T[0], b"loose", camera_id="b", meta=[MetaData("m:n", "number", 7)])
    for number, moment in enumerate(T):
        meta = [
            MetaData("m:n", "number", number),
            MetaData("m:name", "string", f"event-{number}"),
            MetaData("m:at", "date", moment),
        ]
        kind = "m:moving" if number < 2 else "m:still"
        files = [file] if number == 4 else []
        event_at(server, moment, files, camera_id="ab"[number % 2], event_type=kind, meta=meta)
    return server


def numbers(alias: str, search: dict[str, Any]) -> list[int]:
    return [
        int(meta.number_value)
        for event in search_events(search, alias=alias).records
        for meta in event.meta.all()
        if meta.key == "m:n"
    ]


def meta(kind: str, key: str, value: object) -> dict[str, Any]:
    return {"meta": [{"key": key, "type": kind, "value": value}]}


CASES: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [4, 3, 2, 1, 0]),
    ({"camera_ids": ["a"]}, [4, 2, 0]),
    ({"camera_ids": ["a", "b"]}, [4, 3, 2, 1, 0]),
    ({"camera_ids": []}, []),
    ({"after": to_ms(T[1])}, [4, 3, 2]),
    ({"before": to_ms(T[1])}, [0]),
    ({"after": to_ms(T[0]), "before": to_ms(T[2])}, [1]),
    ({"after_offset": 3600}, [4, 1, 0]),
    ({"before_offset": 3600}, [2]),
    ({"after_offset": 0, "before_offset": 7200}, [3]),
    ({"after_offset": 79_200, "before_offset": 3600}, [2, 1]),
    ({"event_type": "m:moving"}, [1, 0]),
    ({"event_type": None}, [4, 3, 2, 1, 0]),
    ({"exclude_imported": True}, [4, 3, 2, 1, 0]),
    (meta("string_equals", "m:name", "event-3"), [3]),
    (meta("number_equals", "m:n", 2), [2]),
    (meta("number_less_than", "m:n", 2), [2, 1, 0]),
    (meta("number_greater_than", "m:n", 2), [4, 3, 2]),
    (meta("date_before", "m:at", to_ms(T[1])), [1, 0]),
    (meta("date_after", "m:at", to_ms(T[3])), [4, 3]),
    (meta("number_equals", "m:other", 2), []),
    (meta("string_equals", "m:name", "' OR 1=1 --"), []),
    ({"limit": 2}, [4, 3]),
    ({"skip": 1, "limit": 2}, [3, 2]),
    ({"skip": 9}, []),
]


def test_each_operator(filled: str) -> None:
    for search, expected in CASES:
        assert numbers(filled, search) == expected, search
        restricted = {name: value for name, value in search.items() if name not in ("skip", "limit")}
        assert search_events(search, alias=filled).count == len(numbers(filled, restricted))


def test_files_by_type_and_events(filled: str) -> None:
    def count(search: dict[str, Any]) -> int:
        return search_files(search, alias=filled).count

    assert count({}) == 2
    assert count({"mime_type": "video/mp4"}) == 1
    assert count({"semantic_type": "m:video"}) == 1
    assert count({"exclude_events": True}) == 1
    assert count(meta("number_equals", "m:n", 7)) == 1


def test_pages_of_equal_times_hold_each_once(server: str, settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = str(tmp_path)
    update_camera_status(status(), "a", NIGHT, alias=server)
    made = {event_at(server, NIGHT, [], camera_id="a").pk for _ in range(7)}
    pages = [search_events({"skip": skip, "limit": 2}, alias=server) for skip in range(0, 8, 2)]
    assert [event.pk for page in pages for event in page.records] == sorted(made, reverse=True)
    assert {page.count for page in pages} == {7}


@pytest.mark.parametrize(
    "search",
    [
        {"colour": "red"},
        {"after": "2026"},
        {"after": True},
        {"after": 10**30},
        {"after_offset": -1},
        {"after_offset": 90_000},
        {"camera_ids": "a"},
        {"camera_ids": [1]},
        {"camera_ids": ["a\0"]},
        {"event_type": 1},
        {"exclude_imported": 1},
        {"exclude_events": True},
        {"limit": 0},
        {"limit": 10_000},
        {"skip": -1},
        {"meta": {}},
        {"meta": [{"key": "k"}]},
        {"meta": [{"key": "k", "type": "less", "value": 1}]},
        {"meta": [{"key": "k", "type": "number_equals", "value": "1"}]},
        {"meta": [{"key": "k", "type": "date_before", "value": "1"}]},
    ],
)
def test_what_is_not_a_search_is_refused(search: dict[str, Any]) -> None:
    with pytest.raises(ExportSearchInvalid):
        search_events(search, alias="server")
