"""Handing on: in order per device, one device's trouble never another's, receipts back by any road."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audit.models import Device
from sync_api import exceptions as errors
from sync_api.client.pull import pull
from sync_api.client.push import push_to_targets
from sync_api.client.relay import relay
from sync_api.client.targets import add_target
from sync_api.enrolment.registration import issue_certificate
from sync_api.inbox import accept
from sync_api.models import (
    CarriedBatch,
    DeviceCredential,
    IncomingBatch,
    IncomingEpoch,
    IncomingTransaction,
    LocalDevice,
    OutgoingBatch,
    OutgoingTransaction,
    PushTarget,
    Statement,
    TrustedServer,
    Visit,
)
from sync_api.relay import carry
from sync_api.relay.custody import custody
from sync_api.relay.purging import purge_carried
from sync_api.trust import take_statements
from sync_api.wire.keys import device_keys
from sync_api.wire.statements import sign_statement
from tests.integration.field import Chain, Enrolled, captured, enrolled
from tests.integration.relay.town import Town

ALIASES = ["default", "laptop_pg", "server", "server_pg"]
pytestmark = [
    pytest.mark.django_db(databases=ALIASES, transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
LAYOUTS = {
    "sqlite": {"laptop-1": "default", "relay-1": "server", "central": "server_pg", "relay-2": "laptop_pg"},
    "postgresql": {"laptop-1": "laptop_pg", "relay-1": "server_pg", "central": "server", "relay-2": "default"},
}
ROLES = {"laptop-1": "client", "relay-1": "relay", "central": "server", "relay-2": "relay"}


@dataclass
class Land:
    """A laptop, two middlemen and a server, all enrolled; `town` is how they reach each other."""

    town: Town
    places: dict[str, str]

    def __getitem__(self, name: str) -> str:
        return self.places[name]

    def pull(self, by: str = "relay-1") -> Any:
        return pull(self[by], self.town.url("laptop-1"), allow_http=True, transport=self.town)

    def relay(self, by: str = "relay-1", to: str = "central") -> Any:
        return relay(self[by], self.town.url(to), allow_http=True, transport=self.town)

    def carry(self, content: bytes, by: str) -> Any:
        return carry(self["relay-1"], content, handed_over_by=by, role="client", via="push")

    def held(self, device: str) -> list[int]:
        batches = IncomingBatch.objects.using(self["central"]).filter(epoch__device__name=device, state="held")
        return list(batches.order_by("number").values_list("number", flat=True))

    def carried(self, by: str = "relay-1") -> dict[int, str]:
        return dict(CarriedBatch.objects.using(self[by]).order_by("number").values_list("number", "state"))


@pytest.fixture(params=list(LAYOUTS))
def land(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> Iterator[Land]:
    places = LAYOUTS[request.param]
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    settings.SYNC_BATCH_LINES = 4
    settings.SYNC_BACKOFF_SECONDS = 0
    settings.SYNC_ATTEMPTS_MAX = 2
    settings.SYNC_SERVER_DATABASE = places["central"]
    settings.SYNC_DATABASES = {alias: {"role": ROLES[name], "device": name} for name, alias in places.items()}
    before = {alias: list(LocalDevice.objects.using(alias).all()) for alias in ALIASES}
    empty(ALIASES)
    for name, alias in places.items():
        LocalDevice.objects.using(alias).all().delete()
        facts = {"epoch": secrets.token_hex(16), "began": {"kind": "fresh"}, "role": ROLES[name]}
        if name != "central":
            facts["certificate"] = enrolled(places["central"], name, role=ROLES[name]).certificate
            facts |= {"server_name": "central", "server_key": device_keys("central").public_hex}
            facts["server_url"] = "http://central.test"
        LocalDevice.objects.using(alias).create(name=name, **facts)
    yield Land(Town(settings, places), places)
    empty(ALIASES)
    for alias, devices in before.items():
        LocalDevice.objects.using(alias).all().delete()
        LocalDevice.objects.using(alias).bulk_create(devices)


def empty(aliases: list[str]) -> None:
    for alias in aliases:
        for model in (PushTarget, CarriedBatch, Statement, Visit, TrustedServer, OutgoingBatch, OutgoingTransaction):
            model.objects.using(alias).all().delete()


def new_laptop(land: Land, name: str) -> Enrolled:
    return enrolled(land["central"], name)


def arrived(land: Land) -> list[str]:
    return list(IncomingTransaction.objects.using(land["central"]).order_by("id").values_list("tx_pk", flat=True))


def test_everything_captured_arrives_through_the_middleman_and_is_marked(land: Land) -> None:
    rows = captured(land["laptop-1"], "laptop-1", [1, 2, 3, 1, 4])
    report = land.pull()
    assert report.transactions == 11
    transactions = OutgoingTransaction.objects.using(land["laptop-1"])
    assert transactions.filter(is_consumed_middleman=True, is_consumed_server=False).count() == 11
    report = land.relay()
    assert (report.transactions, report.problems) == (11, [])
    assert arrived(land) == [row.tx_pk for row in rows]
    assert set(land.carried().values()) == {"delivered"}
    assert land.pull().batches == 0
    assert transactions.filter(is_consumed_server=True).count() == 11


def test_a_second_pull_and_a_second_handing_on_send_no_bytes_again(land: Land) -> None:
    captured(land["laptop-1"], "laptop-1", [1] * 9)
    land.pull()
    land.relay()
    land.town.requests.clear()
    land.pull()
    land.relay()
    assert not [line for line in land.town.requests if "batches" in line or "/outgoing/" in line]


def test_only_a_relay_or_a_server_fetches_what_waits(land: Land, settings: Any) -> None:
    captured(land["laptop-1"], "laptop-1", [1])
    LocalDevice.objects.using(land["relay-1"]).update(certificate=issue_in(land, "relay-1", role="client"))
    with pytest.raises(errors.ServerRefused, match="may not fetch") as refused:
        land.pull()
    assert refused.value.code == "visitor_refused"


def issue_in(land: Land, name: str, *, role: str) -> dict[str, Any]:
    return issue_certificate(land["central"], Device(name=name, role=role), device_keys(name).public_hex)


def test_a_client_does_not_pull(land: Land) -> None:
    with pytest.raises(errors.NotARelay):
        pull(land["laptop-1"], land.town.url("relay-1"), allow_http=True, transport=land.town)


def test_a_laptop_of_a_stranger_is_not_visited(land: Land) -> None:
    LocalDevice.objects.using(land["laptop-1"]).update(server_key="ab" * 32)
    certificate = LocalDevice.objects.using(land["laptop-1"]).get().certificate
    LocalDevice.objects.using(land["laptop-1"]).update(certificate={**certificate, "issuer": "stranger"})
    with pytest.raises(errors.PeerNotTrusted):
        land.pull()


def test_a_man_in_the_middle_of_a_visit_gets_no_pass(land: Land) -> None:
    """He answers at an address of his own with what the server says, and hands on what the visitor sends."""
    land.town.middlemen["middle"] = "central"
    with pytest.raises(errors.ServerRefused) as refused:
        land.relay(to="middle")
    assert refused.value.code == "visit_refused"
    assert not Visit.objects.using(land["central"]).exists()
    land.relay()


def test_a_visit_whose_answer_was_lost_is_made_anew(land: Land) -> None:
    """A nonce is good once, so the request itself cannot be sent again."""
    land.town.lost.append("/api/v1/visits")
    land.relay()
    assert land.town.requests[:5] == [
        *("GET central /api/v1/server", "POST central /api/v1/visits", "POST central /api/v1/visits"),
        *("GET central /api/v1/server", "POST central /api/v1/visits"),
    ]


def test_what_was_taken_before_a_laptop_was_restored_arrives_all_the_same(land: Land) -> None:
    """The laptop has begun a later epoch without it: nobody but the middleman has it any more."""
    device = new_laptop(land, "laptop-a")
    chain = Chain.fresh(device)
    accept(land["central"], chain.batch(), device.name)
    began = {"kind": "continues", "epoch": chain.epoch, "number": 1, "hash": chain.hash}
    for _ in range(2):
        land.carry(chain.batch(), device.name)
    accept(land["central"], Chain(device, secrets.token_hex(16), began).batch(), device.name)
    report = land.relay()
    assert (report.batches, report.problems) == (2, [])
    assert land.carried() == {2: "delivered", 3: "delivered"}
    late = IncomingBatch.objects.using(land["central"]).filter(is_late=True)
    assert list(late.order_by("number").values_list("number", flat=True)) == [2, 3]


def test_one_device_s_refusal_does_not_delay_another_s(land: Land) -> None:
    bad, good = new_laptop(land, "laptop-a"), new_laptop(land, "laptop-b")
    for device in (bad, good):
        chain = Chain.fresh(device)
        for _ in range(3):
            land.carry(chain.batch(), device.name)
    DeviceCredential.objects.using(land["central"]).filter(device__name="laptop-a").update(
        revoked_at="2026-05-04T09:00:00Z", revoked_after=None
    )
    report = land.relay()
    assert land.held("laptop-b") == [1, 2, 3]
    assert (land.held("laptop-a"), len(report.problems)) == ([], 1)
    assert "laptop-a" in report.problems[0]
    states = CarriedBatch.objects.using(land["relay-1"]).filter(device="laptop-a").order_by("number")
    assert states.values_list("state", "refusal").first() == ("refused", "device_revoked")


def test_batches_behind_a_gap_go_on_and_count_as_delivered_when_another_road_closed_it(land: Land) -> None:
    device = new_laptop(land, "laptop-a")
    chain = Chain.fresh(device)
    contents = [chain.batch() for _ in range(5)]
    for content in contents[2:]:
        land.carry(content, device.name)
    report = land.relay()
    assert (report.batches, report.early) == (0, 3)
    assert set(land.carried().values()) == {"carried"}
    carry(land["relay-2"], contents[0], handed_over_by=device.name, role="client", via="push")
    carry(land["relay-2"], contents[1], handed_over_by=device.name, role="client", via="push")
    assert land.relay("relay-2").batches == 2
    assert land.held(device.name) == [1, 2, 3, 4, 5]
    report = land.relay()
    assert (report.batches, report.delivered_by_others) == (0, 3)
    assert set(land.carried().values()) == {"delivered"}


def test_the_copy_of_a_cloned_laptop_is_refused_and_the_other_s_batches_go_on(land: Land) -> None:
    device = new_laptop(land, "laptop-a")
    chain = Chain.fresh(device)
    first = chain.batch()
    forked, second, third = chain.fork(), chain.batch(), chain.batch()
    for content in (first, second, forked, third):
        land.carry(content, device.name)
    report = land.relay()
    assert land.held(device.name) == [1, 2, 3]
    assert len(report.problems) == 1
    assert land.carried()[1] == land.carried()[3] == "delivered"
    refused = CarriedBatch.objects.using(land["relay-1"]).get(state="refused")
    assert (refused.number, refused.refusal) == (2, "batch_fork")


def test_a_server_restored_from_a_backup_gets_again_what_it_lost(land: Land) -> None:
    device = new_laptop(land, "laptop-a")
    chain = Chain.fresh(device)
    for _ in range(4):
        land.carry(chain.batch(), device.name)
    land.relay()
    lose_after(land["central"], 2)
    assert land.held(device.name) == [1, 2]
    assert land.relay().batches == 2
    assert land.held(device.name) == [1, 2, 3, 4]


def lose_after(alias: str, number: int) -> None:
    """The server as it was in yesterday's backup, with one device."""
    IncomingTransaction.objects.using(alias).filter(batch__number__gt=number).delete()
    IncomingBatch.objects.using(alias).filter(number__gt=number).delete()
    batch = IncomingBatch.objects.using(alias).get(number=number)
    last = batch.transactions.order_by("sequence").last()
    IncomingEpoch.objects.using(alias).update(
        head_number=number,
        head_hash=batch.hash,
        sequence=batch.first_sequence + batch.lines - 1,
        effective_at=last.effective_at,
    )


def test_what_a_restored_server_lost_is_taken_from_the_laptop_again(land: Land) -> None:
    captured(land["laptop-1"], "laptop-1", [1] * 12)
    land.pull()
    land.relay()
    land.pull()
    CarriedBatch.objects.using(land["relay-1"]).all().delete()
    lose_after(land["central"], 1)
    captured(land["laptop-1"], "laptop-1", [1] * 4, first_unit=100)
    land.pull()
    assert land.relay().early == 1
    assert land.pull().batches == 2
    land.relay()
    assert land.held("laptop-1") == [1, 2, 3, 4]


def test_an_older_epoch_is_handed_on_before_the_one_that_continues_it(land: Land) -> None:
    device = new_laptop(land, "laptop-a")
    old = Chain.fresh(device)
    contents = [old.batch(), old.batch()]
    began = {"kind": "continues", "epoch": old.epoch, "number": 2, "hash": old.hash}
    new = Chain(device, secrets.token_hex(16), began)
    for content in (new.batch(), *contents):
        land.carry(content, device.name)
    assert land.relay().batches == 3
    heads = IncomingEpoch.objects.using(land["central"]).order_by("ordinal")
    assert list(heads.values_list("epoch", "head_number")) == [(old.epoch, 2), (new.epoch, 1)]


def test_a_later_epoch_waits_while_the_one_before_it_has_a_gap(land: Land) -> None:
    device = new_laptop(land, "laptop-a")
    old = Chain.fresh(device)
    first, second = old.batch(), old.batch()
    new = Chain(device, secrets.token_hex(16), {"kind": "continues", "epoch": old.epoch, "number": 2, "hash": old.hash})
    land.carry(second, device.name)
    land.carry(new.batch(), device.name)
    assert land.relay().early == 1
    land.carry(first, device.name)
    land.relay()
    land.relay()
    assert list(
        IncomingEpoch.objects.using(land["central"]).order_by("ordinal").values_list("head_number", flat=True)
    ) == [2, 1]


def test_from_middleman_to_middleman_and_the_receipts_back(land: Land) -> None:
    captured(land["laptop-1"], "laptop-1", [1] * 8)
    land.pull()
    assert land.relay(to="relay-2").batches == 2
    assert set(land.carried().values()) == {"carried"}, "another middleman's word counted as the server's"
    land.relay("relay-2")
    report = land.relay(to="relay-2")
    assert (report.batches, report.delivered_by_others) == (0, 2)
    land.pull()
    assert LocalDevice.objects.using(land["laptop-1"]).get().acknowledged_number == 2
    hops = {(run.signer, run.action, run.other, run.via) for run in custody(land["central"])}
    assert hops == {
        ("relay-1", "received", "laptop-1", "pull"),
        ("relay-1", "handed_over", "relay-2", "push"),
        ("relay-2", "received", "relay-1", "push"),
        ("relay-2", "handed_over", "central", "push"),
    } - {("relay-2", "handed_over", "central", "push")} | {("relay-2", "handed_over", "central", "push")}


def test_a_revocation_reaches_the_laptop_with_its_receipts(land: Land) -> None:
    captured(land["laptop-1"], "laptop-1", [1])
    keys = device_keys("central")
    facts = {"kind": "revocation", "device": "laptop-1", "signer": "central", "at": "2026-05-04T09:00:00+00:00"}
    facts |= {"public_keys": ["cd" * 32], "after": None, "reason": "an old key"}
    take_statements(land["relay-1"], [sign_statement(facts, keys)], via="test")
    land.pull()
    assert Statement.objects.using(land["laptop-1"]).filter(kind="revocation").count() == 1


def test_a_cut_road_is_told_and_nothing_is_marked(land: Land) -> None:
    captured(land["laptop-1"], "laptop-1", [1] * 8)
    land.pull()
    land.town.closed.add("central")
    with pytest.raises(errors.ServerUnreachable):
        land.relay()
    assert set(land.carried().values()) == {"carried"}
    land.town.closed.clear()
    assert land.relay().batches == 2


def test_a_pass_that_ended_is_asked_for_anew(land: Land, settings: Any) -> None:
    captured(land["laptop-1"], "laptop-1", [1] * 8)
    land.pull()
    settings.SYNC_VISIT_SECONDS = 0
    with pytest.raises(errors.ServerRefused):
        land.relay()
    settings.SYNC_VISIT_SECONDS = 900
    assert land.relay().batches == 2


def durable(land: Land, number: int) -> None:
    batch = IncomingBatch.objects.using(land["central"]).select_related("epoch").get(number=number)
    facts = {"kind": "durable", "device": batch.epoch.device.name, "signer": "central"}
    facts |= {"epoch": batch.epoch.epoch, "number": number, "hash": batch.hash, "at": "2026-05-04T09:00:00+00:00"}
    take_statements(land["relay-1"], [sign_statement(facts, device_keys("central"))], via="test")


def test_only_what_a_durable_receipt_covers_is_removed(land: Land) -> None:
    captured(land["laptop-1"], "laptop-1", [1] * 12)
    land.pull()
    land.relay()
    assert purge_carried(land["relay-1"]).removed == 0
    durable(land, 2)
    assert purge_carried(land["relay-1"], dry_run=True).removed == 2
    assert list(land.carried()) == [1, 2, 3]
    report = purge_carried(land["relay-1"])
    assert (report.removed, report.kept) == (2, 1)
    assert list(land.carried()) == [3]


def test_a_forged_durable_receipt_removes_nothing(land: Land) -> None:
    captured(land["laptop-1"], "laptop-1", [1] * 4)
    land.pull()
    batch = CarriedBatch.objects.using(land["relay-1"]).get()
    facts = {"kind": "durable", "device": "laptop-1", "signer": "central", "at": "2026-05-04T09:00:00+00:00"}
    facts |= {"epoch": batch.epoch, "number": 1, "hash": batch.hash}
    take_statements(land["relay-1"], [sign_statement(facts, device_keys("relay-2"))], via="test")
    assert purge_carried(land["relay-1"]).removed == 0


def test_a_laptop_that_pushes_to_the_middleman_gets_the_server_s_receipts_there(land: Land) -> None:
    laptop = land["laptop-1"]
    rows = captured(laptop, "laptop-1", [1] * 8)
    add_target(laptop, "relay-1", land.town.url("relay-1"), is_relay=True, allow_http=True)
    land.town.closed.add("central")
    push_to(land, "relay-1")
    transactions = OutgoingTransaction.objects.using(laptop)
    assert transactions.filter(is_consumed_middleman=True, is_consumed_server=False).count() == 8
    land.town.closed.clear()
    land.relay()
    assert arrived(land) == [row.tx_pk for row in rows]
    push_to(land, "relay-1")
    assert transactions.filter(is_consumed_server=True).count() == 8


def push_to(land: Land, target: str) -> None:
    run = push_to_targets(land["laptop-1"], target=target, allow_http=True, transport=land.town)
    assert [result.error for result in run.results] == [None]


def test_a_batch_that_the_server_cannot_answer_delays_no_other_device(land: Land) -> None:
    """An answer of status 500 is no refusal: it stays to be handed on, and the next device has its turn."""
    for name in ("laptop-a", "laptop-b"):
        land.carry(Chain.fresh(new_laptop(land, name)).batch(), name)
    first = CarriedBatch.objects.using(land["relay-1"]).get(device="laptop-a")
    land.town.failing = bytes(first.content)
    report = land.relay()
    assert (report.batches, len(report.problems)) == (1, 1)
    assert land.held("laptop-b") == [1]
    land.town.failing = b""
    assert land.relay().batches == 1


def test_a_full_middleman_says_so_and_the_laptop_keeps_its_batches(land: Land, settings: Any) -> None:
    captured(land["laptop-1"], "laptop-1", [1] * 8)
    settings.SYNC_CARRIED_BYTES_MAX = 100
    with pytest.raises(errors.RelayFull):
        land.pull()
    settings.SYNC_CARRIED_BYTES_MAX = 10_000_000
    assert land.pull().batches == 2
