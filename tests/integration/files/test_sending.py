"""Our own client: asks once, sends what is missing, smallest first, and goes on from what the other side has."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from django.test import Client

from sync_api.client.files import Budget, FilesReport, send_files
from sync_api.client.http import Server
from sync_api.exceptions import ServerRefused, ServerUnreachable
from sync_api.files.outgoing import waiting_contents
from sync_api.files.store import ContentStore
from sync_api.models import FileDelivery
from tests.integration.field import Enrolled, enrolled
from tests.integration.files.test_store import a_fact

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"])
NAME = "test-laptop"
SMALL, LARGE = b"small" * 100, b"large" * 20_000


class Road(httpx.BaseTransport):
    """To the real views. Each PATCH of `cut_after` (in bytes) arrives only so far, and its answer never."""

    def __init__(self) -> None:
        self.client = Client(raise_request_exception=False)
        self.cut_after: list[int] = []
        self.requests: list[str] = []
        self.arrived = 0
        self.older = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        path = str(request.url.raw_path, "ascii")
        self.requests.append(f"{request.method} {'/'.join(path.split('/')[3:5]).removesuffix('/missing')}")
        if self.older and "files" in path:
            path = "/api/v1/nothing-here"
        is_cut = request.method == "PATCH" and bool(self.cut_after)
        if is_cut:
            body = body[: self.cut_after.pop(0)]
        self.arrived += len(body) if request.method == "PATCH" else 0
        headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
        headers["content-length"] = str(len(body))
        kind = request.headers.get("content-type", "application/json")
        answer = self.client.generic(request.method, path, body, content_type=kind, headers=headers)
        if is_cut:
            raise httpx.ReadError("the road broke")
        return httpx.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)


@pytest.fixture
def server(laptop: str, settings: Any) -> str:
    """Each laptop's server is on the same kind of database."""
    alias = "server_pg" if laptop.endswith("_pg") else "server"
    settings.SYNC_SERVER_DATABASE = alias
    settings.SYNC_ATTEMPTS_MAX = 3
    return alias


@pytest.fixture
def device(laptop: str, server: str) -> Enrolled:
    for content in (LARGE, SMALL):
        kept = ContentStore(laptop).take([content])
        for alias in (laptop, server):
            a_fact(alias, kept.sha256, device=NAME, name_digest=kept.sha256, size=kept.size)
    return enrolled(server, NAME)


@pytest.fixture
def road() -> Road:
    return Road()


def send(laptop: str, device: Enrolled, road: Road, budget: int | None = None) -> FilesReport:
    with Server("http://server.test", token=device.token, allow_http=True, transport=road) as server:
        server.sleep = lambda seconds: None
        return send_files(laptop, server, "server-1", to_server=True, budget=Budget(budget), sleep=lambda seconds: None)


def held_at(server: str) -> int:
    return sum(ContentStore(server).holds(sha256) for sha256, _ in waiting_contents_of(server))


def waiting_contents_of(server: str) -> list[tuple[str, int]]:
    return waiting_contents(server, "nobody", to_server=True)


def test_everything_goes_smallest_first_and_then_nothing_is_asked(
    laptop: str, server: str, device: Enrolled, road: Road
) -> None:
    report = send(laptop, device, road)
    assert (report.files, report.bytes, report.problems) == (2, len(SMALL) + len(LARGE), [])
    assert road.requests == [
        "POST files",
        "POST files/uploads",
        "PATCH files/uploads",
        "POST files/uploads",
        "PATCH files/uploads",
    ]
    assert [size for _, size in waiting_contents_of(server)] == [len(SMALL), len(LARGE)]
    assert held_at(server) == 2
    road.requests.clear()
    assert send(laptop, device, road).files == 0
    assert road.requests == []


def test_what_was_delivered_is_asked_again_after_a_while_and_sent_again_when_lost(
    laptop: str, server: str, device: Enrolled, road: Road, settings: Any
) -> None:
    send(laptop, device, road)
    settings.SYNC_FILES_ASK_AGAIN_HOURS = 0
    assert send(laptop, device, road).files == 0
    ContentStore(server).mark_damaged(waiting_contents(laptop, "x", to_server=True)[0][0])
    assert send(laptop, device, road).files == 1
    assert held_at(server) == 2


def test_cuts_cost_nothing_twice(laptop: str, server: str, device: Enrolled, road: Road) -> None:
    road.cut_after = [100, 0, 50_000, 20_000]
    assert send(laptop, device, road).files == 2
    assert road.arrived == len(SMALL) + len(LARGE)
    assert held_at(server) == 2


def test_a_road_that_never_carries_anything_ends(laptop: str, device: Enrolled, road: Road) -> None:
    road.cut_after = [0] * 50
    with pytest.raises(ServerUnreachable):
        send(laptop, device, road)
    assert len(road.requests) < 20


def test_a_budget_stops_within_a_file_and_the_next_push_goes_on(
    laptop: str, server: str, device: Enrolled, road: Road
) -> None:
    first = send(laptop, device, road, budget=len(SMALL) + 30_000)
    assert (first.files, first.bytes, first.waiting) == (1, len(SMALL) + 30_000, 1)
    assert first.waiting_bytes == len(LARGE) - 30_000
    assert send(laptop, device, road, budget=0).waiting == 1
    rest = send(laptop, device, road)
    assert (rest.files, rest.bytes) == (1, len(LARGE) - 30_000)
    assert held_at(server) == 2


def test_a_file_that_is_damaged_here_is_told_and_not_sent(
    laptop: str, server: str, device: Enrolled, road: Road
) -> None:
    store = ContentStore(laptop)
    (sha256,) = (sha256 for sha256, size in waiting_contents(laptop, "x", to_server=True) if size == len(SMALL))
    store.place.path(sha256).write_bytes(b"changed")  # type: ignore[union-attr]
    report = send(laptop, device, road)
    assert report.files == 1
    assert "have changed" in report.problems[0]
    assert "PATCH" not in "".join(road.requests[:1])
    assert send(laptop, device, road).files == 0, "a damaged file was tried again and again"


def test_a_full_server_ends_the_sending_and_keeps_nothing(
    laptop: str, server: str, device: Enrolled, road: Road, settings: Any
) -> None:
    settings.SYNC_FILES_FREE_BYTES_MIN = 2**60
    with pytest.raises(ServerRefused, match="no room"):
        send(laptop, device, road)
    assert road.requests == ["POST files", "POST files/uploads"]
    assert not FileDelivery.objects.using(laptop).exists()


def test_a_server_of_an_earlier_version_takes_records_alone(laptop: str, device: Enrolled, road: Road) -> None:
    road.older = True
    report = send(laptop, device, road)
    assert (report.files, report.waiting, report.problems) == (0, 2, [])
