"""Several targets per device: each gets everything once, has its own position and failures, and harms no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from sync_api import exceptions as errors
from sync_api.client import enrol, push, push_to_targets
from sync_api.client.targets import add_target, ensure_home, is_open, now, open_seconds, target_facts
from sync_api.enrolment.registration import add_device
from sync_api.models import CarriedBatch, IncomingTransaction, LocalDevice, OutgoingTransaction, PushTarget, Statement
from sync_api.trust import statements_for, take_statements
from tests.integration.client.test_push import NAMES, reset
from tests.integration.field import captured
from tests.integration.relay.town import Town

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
SERVER, RELAY = "server", "server_pg"


@pytest.fixture(autouse=True)
def field_day(laptop: str, settings: Any, tmp_path: Path) -> Iterator[None]:
    """A server "central", a middleman "relay-1" and a laptop, each knowing central."""
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    settings.SYNC_SERVER_DATABASE = SERVER
    settings.SYNC_BATCH_LINES = 4
    settings.SYNC_BACKOFF_SECONDS = 0
    settings.SYNC_ATTEMPTS_MAX = 2
    settings.SYNC_CIRCUIT_FAILURES = 2
    settings.SYNC_DATABASES = {
        SERVER: {"role": "server", "device": "central"},
        RELAY: {"role": "relay", "device": "relay-1"},
        laptop: {"role": "client", "device": NAMES[laptop]},
    }
    clean(laptop)
    reset(laptop)
    LocalDevice.objects.using(RELAY).create(
        name="relay-1", role="relay", epoch="ab" * 16, began={"kind": "fresh"}, baselines={}
    )
    yield
    clean(laptop)
    reset(laptop)


def clean(laptop: str) -> None:
    for alias in (laptop, SERVER, RELAY):
        for model in (PushTarget, CarriedBatch, Statement):
            model.objects.using(alias).all().delete()
    LocalDevice.objects.using(RELAY).filter(name="relay-1").delete()


@pytest.fixture
def town(laptop: str, settings: Any) -> Town:
    town = Town(settings, {"central": SERVER, "relay-1": RELAY})
    for alias, name, role in ((laptop, NAMES[laptop], "client"), (RELAY, "relay-1", "relay")):
        code = add_device(SERVER, name, role=role).code
        enrol(alias, town.url("central"), code, allow_http=True, transport=town)
        LocalDevice.objects.using(alias).filter(name=name).update(baselines={})
    town.requests.clear()
    return town


@pytest.fixture
def middleman(laptop: str, town: Town) -> PushTarget:
    return add_target(laptop, "relay-1", town.url("relay-1"), is_relay=True, allow_http=True)


def pushed(laptop: str, town: Town, **options: Any) -> dict[str, str]:
    run = push_to_targets(laptop, allow_http=True, transport=town, **options)
    return {result.name: result.state for result in run.results}


def carried() -> list[int]:
    return list(CarriedBatch.objects.using(RELAY).order_by("id").values_list("number", flat=True))


def arrived() -> int:
    return IncomingTransaction.objects.using(SERVER).count()


def marked(laptop: str, hop: str) -> int:
    return OutgoingTransaction.objects.using(laptop).filter(**{f"is_consumed_{hop}": True}).count()


def target(laptop: str, name: str) -> PushTarget:
    return PushTarget.objects.using(laptop).get(name=name)


def told(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def test_every_target_gets_everything_and_its_own_marks(laptop: str, town: Town, middleman: PushTarget) -> None:
    captured(laptop, NAMES[laptop], [1] * 10)
    assert pushed(laptop, town) == {"central": "sent", "relay-1": "sent"}
    assert (arrived(), carried()) == (10, [1, 2, 3])
    assert (marked(laptop, "server"), marked(laptop, "middleman")) == (10, 10)
    assert [target(laptop, name).acknowledged_number for name in ("central", "relay-1")] == [3, 3]
    town.requests.clear()
    assert pushed(laptop, town) == {"central": "sent", "relay-1": "sent"}
    assert town.requests == ["GET central /api/v1/devices/me"]


def test_a_middleman_s_word_is_not_the_server_s(laptop: str, town: Town, middleman: PushTarget) -> None:
    town.closed.add("central")
    captured(laptop, NAMES[laptop], [1] * 10)
    assert pushed(laptop, town) == {"central": "failed", "relay-1": "sent"}
    assert (arrived(), carried()) == (0, [1, 2, 3])
    assert (marked(laptop, "server"), marked(laptop, "middleman")) == (0, 10)
    town.closed.clear()
    assert pushed(laptop, town) == {"central": "sent", "relay-1": "sent"}
    assert arrived() == marked(laptop, "server") == 10


def test_one_target_s_failure_never_keeps_another_from_getting_its_part(
    laptop: str, town: Town, middleman: PushTarget
) -> None:
    town.closed.add("relay-1")
    captured(laptop, NAMES[laptop], [1] * 6)
    assert pushed(laptop, town) == {"central": "sent", "relay-1": "failed"}
    report = push(laptop, allow_http=True, transport=town)
    assert [(one["name"], one["state"], one["code"]) for one in report.targets] == [
        ("central", "sent", None),
        ("relay-1", "failed", "server_unreachable"),
    ]
    assert (arrived(), carried()) == (6, [])
    town.closed.clear()
    pushed(laptop, town, target="relay-1")
    assert carried() == [1, 2]


def test_a_position_is_each_target_s_own(laptop: str, town: Town) -> None:
    captured(laptop, NAMES[laptop], [1] * 8)
    pushed(laptop, town)
    add_target(laptop, "relay-1", town.url("relay-1"), is_relay=True, allow_http=True)
    captured(laptop, NAMES[laptop], [1], first_unit=100)
    town.closed.add("relay-1")
    pushed(laptop, town)
    assert [target(laptop, name).acknowledged_number for name in ("central", "relay-1")] == [3, 0]
    assert target_facts(laptop, target(laptop, "relay-1"))["waiting_batches"] == 3
    town.closed.clear()
    pushed(laptop, town)
    assert carried() == [1, 2, 3]


def test_the_circuit_opens_after_failures_in_a_row_and_outlives_a_restart(
    laptop: str, town: Town, middleman: PushTarget, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync_api.client.targets.random.uniform", lambda low, high: high)
    town.closed.add("relay-1")
    captured(laptop, NAMES[laptop], [1])
    for failures in (1, 2):
        assert pushed(laptop, town)["relay-1"] == "failed"
        assert target(laptop, "relay-1").failures == failures
    town.requests.clear()
    assert pushed(laptop, town) == {"central": "sent", "relay-1": "skipped"}
    assert not [request for request in town.requests if "relay-1" in request]
    town.closed.clear()
    assert pushed(laptop, town)["relay-1"] == "skipped"

    PushTarget.objects.using(laptop).filter(name="relay-1").update(open_until=now(laptop) - timedelta(seconds=1))
    assert pushed(laptop, town)["relay-1"] == "sent"
    closed = target(laptop, "relay-1")
    assert (closed.failures, closed.open_until, closed.last_error) == (0, None, "")


def test_a_half_open_circuit_that_fails_opens_for_longer(
    laptop: str, town: Town, middleman: PushTarget, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync_api.client.targets.random.uniform", lambda low, high: high)
    settings.SYNC_CIRCUIT_SECONDS, settings.SYNC_CIRCUIT_SECONDS_MAX = 100.0, 300.0
    town.closed.add("relay-1")
    captured(laptop, NAMES[laptop], [1])
    waits = []
    for _ in range(5):
        PushTarget.objects.using(laptop).filter(name="relay-1").update(open_until=None)
        pushed(laptop, town)
        failed = target(laptop, "relay-1")
        assert failed.last_tried_at is not None
        waits.append(0.0 if failed.open_until is None else (failed.open_until - failed.last_tried_at).total_seconds())
    assert waits == [0, 100, 200, 300, 300]


def test_the_wait_has_full_jitter(settings: Any) -> None:
    settings.SYNC_CIRCUIT_SECONDS, settings.SYNC_CIRCUIT_SECONDS_MAX = 10.0, 40.0
    assert open_seconds(1) == 0
    for failures, most in ((2, 10), (3, 20), (4, 40), (99, 40)):
        waits = [open_seconds(failures) for _ in range(200)]
        assert 0 <= min(waits) < most / 4
        assert most * 0.75 < max(waits) <= most


def test_a_clock_that_is_set_back_does_not_keep_a_circuit_open(laptop: str, town: Town, middleman: PushTarget) -> None:
    middleman.open_until = now(laptop) + timedelta(days=400)
    assert not is_open(laptop, middleman)


def test_naming_a_target_tries_it_whatever_its_circuit_says(laptop: str, town: Town, middleman: PushTarget) -> None:
    later = now(laptop) + timedelta(seconds=50)
    PushTarget.objects.using(laptop).filter(name="relay-1").update(failures=9, open_until=later)
    captured(laptop, NAMES[laptop], [1])
    assert pushed(laptop, town, target="relay-1") == {"relay-1": "sent"}
    assert carried() == [1]
    assert arrived() == 0


def test_a_push_by_hand_tries_the_home_server_though_its_circuit_is_open(laptop: str, town: Town) -> None:
    captured(laptop, NAMES[laptop], [1])
    pushed(laptop, town)
    later = now(laptop) + timedelta(seconds=50)
    PushTarget.objects.using(laptop).update(failures=9, open_until=later)
    captured(laptop, NAMES[laptop], [1], first_unit=2)
    assert pushed(laptop, town) == {"central": "skipped"}
    push(laptop, allow_http=True, transport=town)
    assert arrived() == 2


def test_another_installation_at_a_target_s_address_gets_nothing(laptop: str, town: Town) -> None:
    add_target(laptop, "relay-9", town.url("relay-1"), is_relay=True, allow_http=True)
    captured(laptop, NAMES[laptop], [1])
    assert pushed(laptop, town)["relay-9"] == "failed"
    assert "answers 'relay-1', not 'relay-9'" in target(laptop, "relay-9").last_error
    assert carried() == []


def test_receipts_come_back_by_the_middleman(laptop: str, town: Town, middleman: PushTarget) -> None:
    town.closed.add("central")
    captured(laptop, NAMES[laptop], [1] * 4)
    pushed(laptop, town)
    from sync_api.inbox import accept

    for batch in CarriedBatch.objects.using(RELAY):
        accept(SERVER, bytes(batch.content), handed_over_by="relay-1")
    take_statements(RELAY, statements_for(SERVER), via="central, by relay")
    assert marked(laptop, "server") == 0
    assert pushed(laptop, town) == {"central": "failed", "relay-1": "sent"}
    assert marked(laptop, "server") == 4
    assert LocalDevice.objects.using(laptop).get(name=NAMES[laptop]).acknowledged_number == 1


def test_what_cannot_be_sealed_keeps_nothing_before_it_from_any_target(
    laptop: str, town: Town, middleman: PushTarget, settings: Any
) -> None:
    settings.SYNC_LINE_BYTES_MAX = 500
    captured(laptop, NAMES[laptop], [1] * 3)
    captured(laptop, NAMES[laptop], [1], first_unit=10, payload=json.dumps(["k", "x" * 1_000]))
    run = push_to_targets(laptop, allow_http=True, transport=town)
    assert isinstance(run.error, errors.RecordTooLarge)
    assert {result.name: result.state for result in run.results} == {"central": "sent", "relay-1": "sent"}
    assert arrived() == sum(CarriedBatch.objects.using(RELAY).values_list("lines", flat=True)) == 3
    with pytest.raises(errors.RecordTooLarge, match="SYNC_LINE_BYTES_MAX"):
        push(laptop, allow_http=True, transport=town)


def test_enrolling_makes_the_home_target_and_closes_its_circuit(laptop: str, town: Town) -> None:
    with pytest.raises(CommandError, match="stays a push target"):
        told("push_targets", "remove", "central", database=laptop)
    later = now(laptop) + timedelta(seconds=50)
    home = target(laptop, "central")
    PushTarget.objects.using(laptop).update(failures=9, open_until=later, last_tried_at=now(laptop))
    enrol(laptop, town.url("central"), add_device(SERVER, NAMES[laptop]).code, allow_http=True, transport=town)
    again = ensure_home(laptop, LocalDevice.objects.using(laptop).get(name=NAMES[laptop]))
    assert (again.pk, again.failures, again.open_until) == (home.pk, 0, None)


def test_targets_are_added_listed_reset_and_removed_by_command(laptop: str, town: Town) -> None:
    url = town.url("relay-1")
    with pytest.raises(CommandError, match="not encrypted"):
        told("push_targets", "add", "relay-1", url=url, relay=True, database=laptop)
    assert "as well" in told("push_targets", "add", "relay-1", url=url, relay=True, allow_http=True, database=laptop)
    for name, match in (("relay-1", "already"), ("central", "already"), ("a/b", "cannot be")):
        with pytest.raises(CommandError, match=match):
            told("push_targets", "add", name, url=url, allow_http=True, database=laptop)
    listed = json.loads(told("push_targets", json=True, database=laptop))["targets"]
    assert [(one["name"], one["kind"], one["circuit"]) for one in listed] == [
        ("central", "home", "closed"),
        ("relay-1", "relay", "closed"),
    ]
    assert "relay-1 (relay): everything sealed is there" in told("push_targets", "list", database=laptop)
    captured(laptop, NAMES[laptop], [1])
    pushed(laptop, town)
    CarriedBatch.objects.using(RELAY).all().delete()
    assert "tried again" in told("push_targets", "reset", "relay-1", database=laptop)
    pushed(laptop, town)
    assert carried() == [1]
    told("push_targets", "remove", "relay-1", database=laptop)
    with pytest.raises(CommandError, match="no push target 'relay-1'"):
        told("push_transactions", target="relay-1", database=laptop)
    for arguments in (["add", "x"], ["remove"], ["reset"]):
        with pytest.raises(CommandError, match="Say wh"):
            told("push_targets", *arguments, database=laptop)


def test_the_command_tells_each_target_and_fails_when_one_did(
    laptop: str, town: Town, middleman: PushTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command has no transport of its own: here it is given the town's."""
    from sync_api.management.commands import push_transactions

    monkeypatch.setattr(
        push_transactions,
        "push_to_targets",
        lambda alias, **options: push_to_targets(alias, transport=town, **options),
    )
    town.closed.add("relay-1")
    captured(laptop, NAMES[laptop], [1])
    out = StringIO()
    with pytest.raises(CommandError, match=r"relay-1: .*did not answer"):
        call_command("push_transactions", allow_http=True, json=True, database=laptop, stdout=out)
    facts = json.loads(out.getvalue())
    assert (facts["batches"], facts["transactions"]) == (1, 1)
    assert {one["name"]: one["state"] for one in facts["targets"]} == {"central": "sent", "relay-1": "failed"}
    town.closed.clear()
    assert "to relay-1." in told("push_transactions", allow_http=True, database=laptop)
    assert "relay-1 has everything" in told("push_transactions", allow_http=True, database=laptop)
