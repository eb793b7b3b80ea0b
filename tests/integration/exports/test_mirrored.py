"""Exporting mirrored models as records: search, versions, deletions, and what goes in one request."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import pytest

from sync_api.exceptions import ExportEntityUnknown, ExportProtocolUnfit, ExportSearchInvalid
from sync_api.exports import tasks as queue
from sync_api.exports.conversation import ExportState
from sync_api.exports.sources import REGISTERED, ModelSource, check_configuration, register, source_for
from sync_api.models import ExportConfiguration, ExportTask
from tests.conftest import SERVERS
from tests.integration.exports.conftest import Clock, Intercept, new_exporter, told
from tests.integration.mirror.committing import change, commit, new_device, stamp
from tests.mirrored.models import Site

pytestmark = pytest.mark.django_db(databases=SERVERS)

LABEL = "mirrored.Site"
Sent = list[dict[str, Any]]


class Books:
    """A target that keeps what it is told."""

    def __init__(self) -> None:
        self.requests: list[Sent] = []
        self.answer: Callable[[Sent], httpx.Response] = lambda records: told(204)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        assert body["type"] == "records"
        self.requests.append(body["records"])
        return self.answer(body["records"])

    @property
    def records(self) -> Sent:
        return [record for records in self.requests for record in records]


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def exporter(server: str, books: Intercept, settings: Any) -> Any:
    settings.SYNC_EXPORT_TARGETS = ["target.example"]
    return new_exporter(server, httpx.MockTransport(books), Clock())  # type: ignore[arg-type]


def configure(alias: str, search: Any = None, **facts: Any) -> ExportConfiguration:
    usual: dict[str, Any] = {"entity_type": LABEL, "target_url": "https://target.example/in", "is_enabled": True}
    return ExportConfiguration.objects.using(alias).create(search=search or {}, **{**usual, **facts})


def site(key: int, action: str = "I", seconds: int = 0, **values: Any) -> Any:
    usual = {"id": key, "name": f"site {key}", "is_open": True}
    return change(action, Site, key, None if action == "D" else tuple({**usual, **values}.values()), stamp(seconds))


def all_of(*conditions: tuple[str, str, Any]) -> dict[str, Any]:
    return {"all": [dict(zip(("field", "op", "value"), one, strict=True)) for one in conditions]}


def test_current_versions_are_sent_once_and_changes_again(server: str, exporter: Any, books: Books) -> None:
    device = new_device(server)
    commit(server, device, [site(1, seconds=2), site(2, seconds=1)])
    configuration = configure(server)
    assert exporter.run().marked == 2
    assert exporter.run().marked == 0
    assert [record["record_id"] for record in books.records] == [f"{device.name}/2", f"{device.name}/1"]
    first = books.records[0]
    assert (first["model"], first["device"], first["era"], first["deleted"]) == (LABEL, device.name, "NOW", False)
    assert first["fields"]["name"] == "site 2"
    commit(server, device, [site(1, "U", 3, name="renamed")])
    assert exporter.run().marked == 1
    assert books.records[-1]["fields"]["name"] == "renamed"
    assert books.records[-1]["version"] > books.records[1]["version"]
    configuration.refresh_from_db(using=server)
    assert configuration.completed_count == 3


def test_another_search_looks_at_everything_again(server: str, exporter: Any, books: Books) -> None:
    device = new_device(server)
    commit(server, device, [site(1), site(2, is_open=False)])
    configuration = configure(server, all_of(("is_open", "eq", True)))
    assert exporter.run().marked == 1
    configuration.refresh_from_db(using=server)
    configuration.search = {}
    configuration.save(using=server)
    assert exporter.run().marked == 1, "what was marked stays marked"
    assert [record["fields"]["name"] for record in books.records] == ["site 1", "site 2"]


def test_deletions_reach_those_who_had_the_record(server: str, exporter: Any, books: Books) -> None:
    device = new_device(server)
    commit(server, device, [site(1), site(2), site(3, is_open=False)])
    configure(server, all_of(("is_open", "eq", True)), sends_deletions=True)
    exporter.run()
    commit(server, device, [site(1, "D", 5), site(3, "D", 6)])
    assert exporter.run().marked == 1
    last = books.records[-1]
    assert (last["record_id"], last["deleted"], "fields" in last) == (f"{device.name}/1", True, False)
    assert exporter.run().marked == 0


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([("name", "eq", "site 1")], [1]),
        ([("name", "ne", "site 1")], [2, 3]),
        ([("name", "startswith", "site")], [1, 2, 3]),
        ([("name", "contains", "e 2")], [2]),
        ([("name", "in", ["site 2", "site 3"])], [2, 3]),
        ([("name", "isnull", True)], []),
        ([("id", "lt", 2)], [1]),
        ([("id", "lte", 2)], [1, 2]),
        ([("id", "gt", 2)], [3]),
        ([("id", "gte", 2), ("is_open", "eq", True)], [2]),
        ([("device", "eq", "laptop-x")], []),
        ([("era", "eq", "NOW")], [1, 2, 3]),
        ([("captured_at", "gte", "2026-03-01T08:00:02Z")], [2, 3]),
        ([("name", "eq", "'; DROP TABLE mirrored_site_mirror; --")], []),
    ],
)
def test_each_operator(server: str, exporter: Any, books: Books, conditions: Any, expected: list[int]) -> None:
    commit(server, new_device(server), [site(key, seconds=key, is_open=key != 3) for key in (1, 2, 3)])
    configure(server, all_of(*conditions))
    exporter.run()
    assert [record["fields"]["id"] for record in books.records] == expected


@pytest.mark.parametrize(
    "search",
    [
        [],
        {"any": []},
        {"all": {}},
        {"all": [{}]},
        {"all": [{"field": "name", "op": "eq", "value": "x", "or": 1}]},
        all_of(("password", "eq", "x")),
        all_of(("mirror_device__registered_by", "eq", "x")),
        all_of(("name__regex", "eq", "x")),
        all_of(("name", "regex", "x")),
        all_of(("name", "eq", None)),
        all_of(("name", "eq", {"a": 1})),
        all_of(("name", "eq", "a\0")),
        all_of(("name", "in", "abc")),
        all_of(("name", "isnull", "yes")),
        all_of(("id", "contains", "1")),
        all_of(("id", "eq", "one")),
        all_of(("id", "eq", 10**40)),
        all_of(("captured_at", "gt", "2026-03-01T08:00:00")),
        all_of(*[("id", "eq", 1)] * 51),
    ],
)
def test_what_is_not_a_search_is_refused(search: Any) -> None:
    with pytest.raises(ExportSearchInvalid):
        check_configuration(ExportConfiguration(entity_type=LABEL, search=search))


def test_unknown_entities_and_unfit_protocols_are_refused() -> None:
    for name in ("auth.User", "no.Such", "nonsense", ""):
        with pytest.raises(ExportEntityUnknown):
            check_configuration(ExportConfiguration(entity_type=name))
    with pytest.raises(ExportProtocolUnfit):
        check_configuration(ExportConfiguration(entity_type=LABEL, protocol="meteorpi"))


def test_one_refused_record_is_found_among_many(server: str, exporter: Any, books: Books) -> None:
    commit(server, new_device(server), [site(key, seconds=key) for key in range(1, 6)])
    configuration = configure(server)
    books.answer = lambda records: told(422 if any(r["fields"]["id"] == 3 for r in records) else 204)
    for _ in range(5):
        exporter.run()
        exporter.clock.forward(1_801)
    states = dict(ExportTask.objects.using(server).values_list("entity", "state"))
    assert sorted(states.values()) == ["complete"] * 4 + ["dead"]
    configuration.refresh_from_db(using=server)
    assert configuration.is_enabled


def test_a_login_page_is_no_answer(server: str, exporter: Any, books: Books) -> None:
    commit(server, new_device(server), [site(1)])
    configure(server)
    books.answer = lambda records: told(200, b"<html>please log in</html>")
    exporter.mark()
    assert exporter.handle_next_export() is ExportState.CONFUSED


def test_a_hundred_go_in_one_request(server: str, exporter: Any, books: Books) -> None:
    commit(server, new_device(server), [site(key, seconds=key) for key in range(1, 151)])
    configure(server)
    exporter.run()
    assert [len(records) for records in books.requests] == [100, 50]


def test_a_registered_model_is_exported_by_its_version(server: str, exporter: Any, books: Books) -> None:
    register(ModelSource(Site, version="id", order=("-id",)))
    try:
        for number in (1, 2):
            Site.objects.using(server).create(id=number, name=f"own {number}")
        configure(server, all_of(("name", "startswith", "own")))
        assert exporter.run().marked == 2
        assert [record["record_id"] for record in books.records] == ["2", "1"]
        assert books.records[0]["fields"] == {"id": 2, "name": "own 2", "is_open": True}
    finally:
        del REGISTERED[LABEL.lower()]
    assert source_for(LABEL).name == LABEL


def test_order_over_configurations_is_kept_by_batches(server: str, exporter: Any, books: Books) -> None:
    commit(server, new_device(server), [site(1), site(2)])
    one, other = configure(server, name="one"), configure(server, name="other")
    for configuration, seconds in ((one, 0), (other, 1), (one, 2), (other, 3)):
        due = exporter.clock.now
        ExportTask.objects.using(server).create(
            configuration=configuration, entity=f"1/{seconds}", version=seconds, due_at=due, marked_at=due
        )
    claims = []
    while claimed := queue.claim(server, now=exporter.clock.now, count=100):
        claims.append([task.version for task in claimed.tasks])
    assert claims == [[0], [1], [2], [3]]
    assert UUID(str(one.pk)) != other.pk
