"""What users of offline sync suffered elsewhere, each complaint by its number. Bundles, forks of laptops and restored
servers have the longer tests of 6 and 8 (tests/integration/bundles, tests/acceptance/test_restores.py)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sync_api.client import enrol, push
from sync_api.client.push import push_to_targets
from sync_api.deserializer import consume, open_units
from sync_api.enrolment.registration import add_device
from sync_api.exceptions import ServerUnreachable, SyncError
from sync_api.fleet import fleet_status
from sync_api.inbox import accept
from sync_api.models import (
    Alarm,
    IncomingBatch,
    IncomingEpoch,
    IncomingTransaction,
    LocalDevice,
    OutgoingBatch,
    PushTarget,
)
from tests.integration.client.road import Road, cut_after, cut_before
from tests.integration.client.test_push import NAMES, SERVER, URL, arrived, delivered, reset
from tests.integration.deserializer.received import Laptop, insert
from tests.integration.field import Chain, captured, enrolled
from tests.matrix.models import Place

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]


@pytest.fixture(autouse=True)
def field_day(laptop: str, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.SYNC_SERVER_DATABASE = SERVER
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    settings.SYNC_BATCH_LINES = 4
    settings.SYNC_ATTEMPTS_MAX = 1
    reset(laptop)
    yield
    reset(laptop)
    for table in ("matrix_place_mirror", "audit_tablechanges", "audit_source"):
        with connections[SERVER].cursor() as cursor:
            cursor.execute(f'DELETE FROM "{table}"')


@pytest.fixture
def name(laptop: str) -> str:
    code = add_device(SERVER, NAMES[laptop]).code
    enrol(laptop, URL, code, transport=Road())
    LocalDevice.objects.using(laptop).filter(name=NAMES[laptop]).update(baselines={})
    return NAMES[laptop]


def place(number: int, **values: Any) -> dict[str, Any]:
    return {"id": number, "name": f"place {number}", "is_open": 1, "visitors": 0} | values


def test_complaint_1_one_bad_item_does_not_block_what_is_behind_it() -> None:
    device = Laptop(SERVER)
    device.deliver([insert(Place, **place(1))], [insert(Place, **place(2, is_open="no boolean"))])
    device.deliver([insert(Place, **place(3))])
    consume(SERVER)
    assert sorted(Place.mirror.using(SERVER).values_list("id", flat=True)) == [1, 3]
    assert [unit.tx_pk for unit in open_units(SERVER)] == ["2"]


def test_complaint_2_success_is_told_only_of_what_is_there(laptop: str, name: str) -> None:
    captured(laptop, name, [1, 1])
    with pytest.raises(ServerUnreachable):
        push(laptop, transport=Road(cut_before))
    assert delivered(laptop) == 0
    push(laptop, transport=Road())
    assert delivered(laptop) == IncomingTransaction.objects.using(SERVER).count() == 2
    assert push(laptop, transport=Road()).applied_number == 0, "held was told as applied"


def test_complaint_3_what_will_be_retried_is_retried(laptop: str, name: str, settings: Any) -> None:
    settings.SYNC_CIRCUIT_FAILURES = 1
    captured(laptop, name, [1])
    assert push_to_targets(laptop, transport=Road(cut_before)).results[0].state == "failed"
    assert push_to_targets(laptop, transport=Road()).results[0].state == "skipped"
    PushTarget.objects.using(laptop).update(open_until=timezone.now() - timedelta(seconds=1))
    assert push_to_targets(laptop, transport=Road()).results[0].state == "sent"
    assert len(arrived()) == 1


def test_complaint_4_a_lost_acknowledgement_makes_no_duplicates(laptop: str, name: str) -> None:
    captured(laptop, name, [1, 1, 1])
    with pytest.raises(ServerUnreachable):
        push(laptop, transport=Road(cut_after))
    push(laptop, transport=Road())
    assert len(arrived()) == len(set(arrived())) == 3
    assert IncomingBatch.objects.using(SERVER).count() == 1


def test_complaint_5_the_same_number_with_another_content_is_kept_apart_and_told() -> None:
    device = enrolled(SERVER, "laptop-5")
    chain = Chain.fresh(device)
    other = chain.fork()
    accept(SERVER, chain.batch(), "laptop-5")
    with pytest.raises(SyncError, match="cloned, or restored"):
        accept(SERVER, other, "laptop-5")
    states = IncomingBatch.objects.using(SERVER).order_by("id").values_list("number", "state")
    assert list(states) == [(1, "held"), (1, "fork")]
    assert Alarm.objects.using(SERVER).get().code == "batch_fork"


def test_complaints_6_and_7_a_cut_transfer_goes_on_where_it_stopped(laptop: str, name: str) -> None:
    captured(laptop, name, [4] * 6)
    with pytest.raises(ServerUnreachable):
        push(laptop, transport=Road(None, None, None, None, cut_before))
    assert len(arrived()) == 16
    road = Road()
    push(laptop, transport=road)
    assert road.requests == ["POST /api/v1/batches"] * 2, "what had arrived was sent again"
    assert len(arrived()) == len(set(arrived())) == 24


def test_complaint_8_a_restored_server_and_a_restored_laptop_are_noticed(laptop: str, name: str) -> None:
    captured(laptop, name, [4, 4])
    push(laptop, transport=Road())
    for model in (IncomingTransaction, IncomingBatch, IncomingEpoch):
        model.objects.using(SERVER).all().delete()
    push(laptop, transport=Road())
    assert len(arrived()) == len(set(arrived())) == 8
    # now the laptop is put back to its first batch
    OutgoingBatch.objects.using(laptop).filter(number=2).delete()
    head = OutgoingBatch.objects.using(laptop).get()
    LocalDevice.objects.using(laptop).filter(name=name).update(head_number=1, head_hash=head.hash, sequence=4)
    with pytest.raises(SyncError, match="restored from an older copy"):
        push(laptop, transport=Road())


def test_complaint_9_a_chain_out_of_order_is_visible_and_does_not_stick() -> None:
    chain = Chain.fresh(enrolled(SERVER, "laptop-9"))
    first, second, third = chain.batch(), chain.batch(), chain.batch()
    for early in (third, second):
        assert accept(SERVER, early, "laptop-9").state == "early"
    (entry,) = [entry for entry in fleet_status(SERVER) if entry["device"] == "laptop-9"]
    assert (entry["held_batches"], entry["early_batches"], entry["expected_batch"]) == (0, 2, 1)
    assert "2 batches wait for batch 1" in entry["text"]
    assert accept(SERVER, first, "laptop-9").expected == 4
    (entry,) = [entry for entry in fleet_status(SERVER) if entry["device"] == "laptop-9"]
    assert (entry["held_batches"], entry["early_batches"]) == (3, 0)


@pytest.mark.parametrize("months", [-5, 7])
def test_complaint_14_a_clock_that_is_months_off_changes_no_order(months: int) -> None:
    device = Laptop(SERVER)
    device.deliver([insert(Place, **place(1))])
    device.moment += months * 30 * 86_400 * 1_000_000
    device.deliver([insert(Place, **place(2))])
    device.moment -= months * 30 * 86_400 * 1_000_000
    device.deliver([insert(Place, **place(3))])
    consume(SERVER)
    rows = list(Place.mirror.using(SERVER).order_by("mirror_pk").values_list("id", "mirror_captured_at"))
    assert [key for key, _ in rows] == [1, 2, 3]
    assert open_units(SERVER).count() == 0


def test_complaint_15_a_long_backlog_does_not_make_a_batch_dearer() -> None:
    counted, plans = [], set()
    for consumed in (1, 300):
        device = Laptop(SERVER, name=f"laptop-{consumed}")
        for number in range(consumed):
            device.deliver([insert(Place, **place(number))])
        consume(SERVER)
        device.deliver([insert(Place, **place(1_000 + number)) for number in range(5)])
        with CaptureQueriesContext(connections[SERVER]) as queries:
            consume(SERVER)
        counted.append(len(queries))
        (reading,) = [query["sql"] for query in queries if "ORDER BY sequence" in query["sql"]]
        with connections[SERVER].cursor() as cursor:
            cursor.execute("EXPLAIN QUERY PLAN " + reading)
            plans.add(" ".join(row[-1] for row in cursor.fetchall()))
    assert counted[0] == counted[1]
    assert all("SEARCH" in plan and "INDEX" in plan for plan in plans), plans
