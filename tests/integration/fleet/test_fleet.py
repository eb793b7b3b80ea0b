"""Heartbeats: what each device last said of itself, its clock measured where it arrived, in words for the operator."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import call_command

from audit.models import Device
from sync_api import clock
from sync_api.client import push
from sync_api.client.http import Server as Connection
from sync_api.fleet import Heartbeat, fleet_status, heartbeat_facts, keep_own_heartbeat, take_heartbeat
from sync_api.fleet.words import duration, records, since, size
from sync_api.models import IncomingTransaction, LocalDevice, Statement
from sync_api.trust import make_statement, statements_for, take_statements
from tests.integration.client.road import Road
from tests.integration.client.test_push import NAMES, URL, reset
from tests.integration.field import captured, enrolled, local

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
HOUR = 3_600


@pytest.fixture(autouse=True)
def field_day(laptop: str, server: str, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.SYNC_SERVER_DATABASE = server
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    settings.SYNC_BATCH_LINES = 4
    settings.SYNC_DATABASES = {
        laptop: {"role": "client", "device": NAMES[laptop]},
        server: {"role": "server", "device": "central"},
        **{other: {"role": "relay", "device": "relay-1"} for other in [relay_of(server)]},
    }
    clean(laptop, server)
    yield
    clock.SOURCES.clear()
    clean(laptop, server)


def relay_of(server: str) -> str:
    return {"server": "server_pg", "server_pg": "server"}[server]


def clean(laptop: str, server: str) -> None:
    reset(laptop)
    for alias in (laptop, server, relay_of(server)):
        Statement.objects.using(alias).all().delete()
    LocalDevice.objects.using(relay_of(server)).filter(name="relay-1").delete()


@pytest.fixture
def name(laptop: str, server: str) -> str:
    """The laptop, enrolled."""
    return known(laptop, server, NAMES[laptop])


def known(alias: str, server: str, name: str, *, role: str = "client") -> str:
    """The installation of that alias as one that the server enrolled."""
    certified = enrolled(server, name, role=role)
    from sync_api.wire.keys import TOKEN_FILE, device_folder, device_keys

    (device_folder(name) / TOKEN_FILE).write_text(certified.token)
    LocalDevice.objects.using(alias).filter(name=name).update(
        server_url=URL,
        server_name="central",
        server_key=device_keys("central").public_hex,
        certificate=certified.certificate,
        baselines={},
    )
    return name


def shifted(alias: str, seconds: float) -> None:
    """The clock of this database is off by so many seconds."""
    clock.SOURCES[alias] = lambda: time.time_ns() + round(seconds * 1e9)


def entry(server: str, name: str) -> dict[str, Any]:
    return next(one for one in fleet_status(server) if one["device"] == name)


def test_a_push_brings_the_state_of_the_device_without_a_request_of_its_own(
    laptop: str, server: str, name: str
) -> None:
    captured(laptop, name, [1] * 10)
    road = Road()
    push(laptop, transport=road)
    assert road.requests == ["POST /api/v1/batches"] * 3
    told = entry(server, name)
    assert (told["pending"], told["oldest_pending_at"]) == (0, None)
    assert abs(told["clock_skew_seconds"]) < 60
    assert set(told["versions"]) == {"app", "syncserver", "python", "database"}
    assert told["free_disk_bytes"] > 0
    road = Road()
    push(laptop, transport=road)
    assert road.requests == ["GET /api/v1/devices/me"]


def test_what_has_not_arrived_yet_is_waiting(laptop: str, server: str, name: str, settings: Any) -> None:
    settings.SYNC_ATTEMPTS_MAX = 1
    from sync_api.exceptions import ServerUnreachable
    from tests.integration.client.road import cut_before

    captured(laptop, name, [1] * 10)
    with pytest.raises(ServerUnreachable):
        push(laptop, transport=Road(None, cut_before))
    told = entry(server, name)
    assert told["pending"] == 6
    assert told["text"].startswith(f"{name}: 6 records waiting, heard ")


def test_a_clock_that_is_off_is_measured_and_reorders_nothing(laptop: str, server: str, name: str) -> None:
    shifted(laptop, 2 * HOUR)
    rows = captured(laptop, name, [1] * 6)
    push(laptop, transport=Road())
    assert 2 * HOUR - 60 < entry(server, name)["clock_skew_seconds"] < 2 * HOUR + 60
    assert "clock 2 h ahead" in entry(server, name)["text"]
    arrived = IncomingTransaction.objects.using(server).order_by("id").values_list("tx_pk", flat=True)
    assert list(arrived) == [row.tx_pk for row in rows]
    shifted(laptop, -3 * HOUR)
    push(laptop, transport=Road())
    assert "clock 3 h behind" in entry(server, name)["text"]


def test_a_silent_device_is_told_so(laptop: str, server: str, name: str) -> None:
    captured(laptop, name, [1])
    push(laptop, transport=Road())
    assert "silent" not in entry(server, name)["text"]
    shifted(server, 3 * 24 * HOUR)
    assert "silent for 3 days" in entry(server, name)["text"]


def test_a_device_never_heard_of_is_told_so(server: str) -> None:
    Device.objects.using(server).create(name="test-new")
    assert "test-new: never heard of;" in entry(server, "test-new")["text"]


def header_of(statement: dict[str, Any]) -> str:
    return base64.b64encode(orjson.dumps(statement)).decode()


def test_only_the_device_s_own_signed_word_is_taken(laptop: str, server: str, name: str, settings: Any) -> None:
    at = datetime.now(UTC)
    good = Heartbeat(laptop).header()
    statement = orjson.loads(base64.b64decode(good))
    bad = [
        "",
        "not base64 !",
        header_of({**statement, "pending": 7}),
        header_of({**statement, "device": "test-other"}),
        header_of({**statement, "kind": "held"}),
        base64.b64encode(b"[" * 2_000).decode(),
        base64.b64encode(b'"text"').decode(),
        "A" * 20_000,
    ]
    assert not any(take_heartbeat(server, one, brought_by=name, received_at=at) for one in bad)
    assert not take_heartbeat(server, good, brought_by="test-other", received_at=at)
    assert not Statement.objects.using(server).exists()
    assert take_heartbeat(server, good, brought_by=name, received_at=at)
    assert take_heartbeat(server, good, brought_by=name, received_at=at + timedelta(hours=1))
    assert Statement.objects.using(server).get().received_at == at


def test_a_bad_heartbeat_never_stands_in_a_batch_s_way(laptop: str, server: str, name: str) -> None:
    captured(laptop, name, [1])
    from sync_api.client import push as pushing

    assert pushing
    road = Road()
    plain = road.ask

    def spoiled(request: Any) -> Any:
        request.headers["X-Sync-Heartbeat"] = "nonsense"
        return plain(request)

    road.ask = spoiled  # type: ignore[method-assign]
    assert push(laptop, transport=road).transactions == 1
    assert not Statement.objects.using(server).filter(kind="heartbeat").exists()


@pytest.mark.parametrize(
    "facts",
    [
        {"pending": -3, "clock": "yesterday", "versions": [], "free_disk_bytes": "much"},
        {"pending": "x" * 1_000, "clock": 7, "epoch": ["a"], "recorded": True, "seen": {"x": [1, 2, 3], "y": "z"}},
        {"seen": [1], "oldest_pending_at": {"a": 1}, "clock": "2026-01-01T00:00:00"},
        {},
    ],
)
def test_facts_of_any_form_are_shown_as_far_as_they_make_sense(
    laptop: str, server: str, name: str, facts: dict[str, Any]
) -> None:
    statement = make_statement(laptop, "heartbeat", name, **facts)
    assert take_heartbeat(server, header_of(statement), brought_by=name, received_at=datetime.now(UTC))
    told = entry(server, name)
    assert told["pending"] is None
    assert told["clock_skew_seconds"] is None
    assert told["free_disk_bytes"] is None
    assert told["text"].startswith(f"{name}: heard ")


def test_a_middleman_hands_on_what_it_heard_and_how_the_clock_was(laptop: str, server: str, name: str) -> None:
    """Laptop -> middleman, hours of driving, middleman -> server: the road's time is not taken for the clock's."""
    relay = relay_of(server)
    local(relay, "relay-1", role="relay")
    known(relay, server, "relay-1", role="relay")
    shifted(laptop, 2 * HOUR)
    captured(laptop, name, [1] * 3)
    keep_own_heartbeat(laptop)
    take_statements(relay, statements_for(laptop, [name]), via=f"{name}, by pull")

    shifted(server, 5 * HOUR)
    shifted(relay, 5 * HOUR)
    at = datetime.fromtimestamp(clock.source(server)() / 1e9, UTC)
    take_heartbeat(server, Heartbeat(relay).header(), brought_by="relay-1", received_at=at)
    take_statements(server, statements_for(relay, [name]), via="relay-1, REST")
    told = entry(server, name)
    assert told["pending"] == 3
    assert abs(told["clock_skew_seconds"] - 2 * HOUR) < 60
    assert told["heard_via"] == "relay-1, REST"
    assert abs(told["silent_seconds"] - 5 * HOUR) < 60


def test_who_carries_what_is_told_until_it_arrives(laptop: str, server: str, name: str) -> None:
    relay = relay_of(server)
    local(relay, "relay-1", role="relay")
    known(relay, server, "relay-1", role="relay")
    captured(laptop, name, [1] * 6)
    from sync_api.sealing import seal

    seal(laptop, name)
    monday = datetime(2026, 3, 2, 9, tzinfo=UTC)
    batches = list(LocalDevice.objects.using(laptop).get(name=name).batches.using(laptop))
    for batch in batches:
        facts = {"epoch": batch.epoch, "number": batch.number, "hash": batch.hash, "action": "received"}
        statement = make_statement(relay, "custody", name, **facts, other=name, via="pull")
        take_statements(server, [statement], via="test")
    (run,) = entry(server, name)["carried"]
    assert (run["by"], run["batches"]) == ("relay-1", 2)
    assert f"carried by relay-1 {since(run['since'], datetime.now(UTC))}" in entry(server, name)["text"]
    push(laptop, transport=Road())
    assert entry(server, name)["carried"] == []
    assert since(monday, monday + timedelta(days=3)) == "since Monday"


def test_the_status_speaks_in_words_and_as_json(laptop: str, server: str, name: str) -> None:
    captured(laptop, name, [1] * 2)
    own = run("sync_status", database=laptop)
    assert "waiting: 2 transactions to be sealed" in own
    assert "the oldest waits for " in own
    push(laptop, transport=Road())
    facts = json.loads(run("sync_status", json=True, database=laptop))["own"]
    assert [(one["name"], one["kind"], one["acknowledged_batches"]) for one in facts["targets"]] == [
        ("central", "home", 1)
    ]
    assert "to central (home): everything sealed is there." in run("sync_status", database=laptop)
    said = run("sync_status", database=server)
    assert f"{name}: nothing waiting, heard " in said
    fleet = json.loads(run("sync_status", json=True, database=server))["fleet"]
    assert [(one["device"], one["pending"], one["held_batches"]) for one in fleet] == [(name, 0, 1)]


def run(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def test_the_list_of_the_fleet_takes_a_fixed_number_of_statements(server: str) -> None:
    from django.db import connections
    from django.test.utils import CaptureQueriesContext

    counts = []
    for devices in (1, 30):
        for _ in range(devices):
            Device.objects.using(server).create(name=f"test-{secrets.token_hex(4)}")
        with CaptureQueriesContext(connections[server]) as queries:
            fleet_status(server)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_request_that_leaves_much_later_claims_its_own_time(laptop: str, server: str, name: str) -> None:
    beat = Heartbeat(laptop)
    first = beat.header()
    assert beat.header() == first
    real = time.time_ns
    beat.tell_time = lambda: real() + 600 * 10**9
    later = orjson.loads(base64.b64decode(beat.header()))
    earlier = orjson.loads(base64.b64decode(first))
    gone = datetime.fromisoformat(later["clock"]) - datetime.fromisoformat(earlier["clock"])
    assert 599 <= gone.total_seconds() < 660
    assert take_heartbeat(server, header_of(later), brought_by=name, received_at=datetime.now(UTC))


def test_before_enrolment_nothing_is_said(laptop: str) -> None:
    assert Heartbeat(laptop).header() == ""
    keep_own_heartbeat(laptop)
    assert not Statement.objects.using(laptop).exists()
    assert heartbeat_facts(laptop)["pending"] == 0
    with Connection(URL, transport=Road()) as connection:
        connection.heartbeat = Heartbeat(laptop).header
        assert connection.get("server").status == 200


def test_words() -> None:
    assert [duration(seconds) for seconds in (45, 20 * 60, 2 * HOUR, -3 * 24 * HOUR)] == [
        "45 s",
        "20 min",
        "2 h",
        "3 days",
    ]
    noon = datetime(2026, 3, 6, 12, tzinfo=UTC)
    assert since(noon - timedelta(hours=2), noon) == "since 10:00"
    assert since(noon - timedelta(days=30), noon) == "since 2026-02-04"
    assert (records(1), records(2_400)) == ("1 record", "2,400 records")
    assert (size(300 * 1024**2), size(5 * 1024**3)) == ("300 MiB", "5 GiB")


def test_the_admin_lists_the_fleet(admin_client: Any) -> None:
    """The admin speaks of the default database."""
    device = Device.objects.create(name="test-seen")
    Statement.objects.create(
        kind="heartbeat",
        signer=device.name,
        device=device.name,
        via=f"{device.name}, heartbeat",
        digest="ab" * 32,
        facts={
            "at": "2026-01-01T00:00:00+00:00",
            "clock": (datetime.now(UTC) + timedelta(hours=2)).isoformat(),
            "pending": 2_417,
            "versions": {"app": "9.8.7"},
        },
    )
    page = admin_client.get("/admin/audit/device/").content.decode()
    assert all(shown in page for shown in ("test-seen", "2417", "2 h ahead", "9.8.7"))
