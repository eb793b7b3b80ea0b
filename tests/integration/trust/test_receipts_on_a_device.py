"""Statements on a device: whose word moves which position, and what is not believed."""

from __future__ import annotations

from typing import Any

import pytest

from sync_api.models import Alarm, LocalDevice, OutgoingBatch, OutgoingTransaction, PushTarget, Statement
from sync_api.sealing import seal
from sync_api.trust import take_statements
from sync_api.trust.pins import pin_server
from sync_api.wire.keys import device_keys
from tests.integration.field import captured, local
from tests.integration.trust.said import about, certified, said

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
NAME = "test-laptop"
HOME = "test-home"
CENTRAL = "test-central"
RELAY = "test-relay"


@pytest.fixture
def device(laptop: str, settings: Any) -> LocalDevice:
    """A device enrolled with HOME, with four sealed batches of two transactions each."""
    settings.SYNC_DATABASES = {laptop: {"role": "client", "device": NAME}}
    settings.SYNC_BATCH_LINES = 2
    home = {"server_name": HOME, "server_key": device_keys(HOME).public_hex}
    device = local(laptop, NAME, certificate=certified(NAME, issuer=HOME), **home)
    captured(laptop, NAME, [1] * 8)
    seal(laptop, NAME)
    device.refresh_from_db()
    assert device.head_number == 4
    return device


def batch(laptop: str, number: int) -> OutgoingBatch:
    return OutgoingBatch.objects.using(laptop).get(number=number)


def take(laptop: str, *statements: Any) -> tuple[int, int, dict[str, int]]:
    taken = take_statements(laptop, statements, via="test")
    return taken.new, taken.known, dict(taken.refused)


def marked(laptop: str, mark: str) -> list[int]:
    rows = OutgoingTransaction.objects.using(laptop).filter(**{mark: True})
    return sorted(set(rows.values_list("batch_number", flat=True)))


def receipts(laptop: str, name: str) -> list[int]:
    batches = OutgoingBatch.objects.using(laptop).filter(receipts__has_key=name)
    return sorted(batches.values_list("number", flat=True))


def test_the_home_server_s_held_covers_the_chain_up_to_it(laptop: str, device: LocalDevice) -> None:
    receipt = said("held", NAME, by=HOME, **about(batch(laptop, 3)))
    assert take(laptop, receipt) == (1, 0, {})
    assert receipts(laptop, "held") == marked(laptop, "is_consumed_server") == [1, 2, 3]
    assert marked(laptop, "is_consumed_middleman") == []
    device.refresh_from_db()
    assert device.acknowledged_number == 3
    assert take(laptop, receipt) == (0, 1, {})


def test_an_older_receipt_replayed_takes_nothing_back(laptop: str, device: LocalDevice) -> None:
    older = said("held", NAME, by=HOME, **about(batch(laptop, 1)))
    newer = said("held", NAME, by=HOME, **about(batch(laptop, 4)))
    assert take(laptop, newer) == (1, 0, {})
    assert take(laptop, older) == (0, 1, {})
    device.refresh_from_db()
    assert device.acknowledged_number == 4
    assert Statement.objects.using(laptop).get().number == 4


def test_a_relay_s_held_marks_only_what_it_names(laptop: str, device: LocalDevice) -> None:
    certificate = certified(RELAY, issuer=HOME, role="relay")
    receipt = said("held", NAME, by=RELAY, certificate=certificate, **about(batch(laptop, 3), first=2))
    assert take(laptop, receipt) == (1, 0, {})
    assert receipts(laptop, "held_relay") == marked(laptop, "is_consumed_middleman") == [2, 3]
    assert receipts(laptop, "held") == marked(laptop, "is_consumed_server") == []
    device.refresh_from_db()
    assert device.acknowledged_number == 0


def test_a_relay_s_receipt_never_counts_as_the_server_s(laptop: str, device: LocalDevice) -> None:
    certificate = certified(RELAY, issuer=HOME, role="relay")
    for kind in ("held", "applied", "durable"):
        receipt = said(kind, NAME, by=RELAY, certificate=certificate, **about(batch(laptop, 3)))
        assert take(laptop, receipt) == (0, 0, {"not_permitted": 1})
    assert receipts(laptop, "held") == receipts(laptop, "held_relay") == []


def test_a_client_may_not_give_receipts(laptop: str, device: LocalDevice) -> None:
    certificate = certified("test-other", issuer=HOME)
    receipt = said("held", NAME, by="test-other", certificate=certificate, **about(batch(laptop, 3), first=1))
    assert take(laptop, receipt) == (0, 0, {"not_permitted": 1})


def test_applied_and_durable_of_the_home_server_are_kept(laptop: str, device: LocalDevice) -> None:
    applied = said("applied", NAME, by=HOME, **about(batch(laptop, 3)), parked=1, preserved={})
    durable = said("durable", NAME, by=HOME, **about(batch(laptop, 2)))
    assert take(laptop, applied, durable) == (2, 0, {})
    device.refresh_from_db()
    assert (device.applied_number, device.durable_number) == (3, 2)
    assert (receipts(laptop, "applied"), receipts(laptop, "durable")) == ([1, 2, 3], [1, 2])


def test_another_server_has_its_own_position(laptop: str, device: LocalDevice) -> None:
    pin_server(laptop, CENTRAL, device_keys(CENTRAL).public_hex)
    PushTarget.objects.using(laptop).create(device=device, name=CENTRAL, kind="server", url="https://central.example")
    receipts_of = [said(kind, NAME, by=CENTRAL, **about(batch(laptop, 2))) for kind in ("held", "applied", "durable")]
    assert take(laptop, *receipts_of) == (3, 0, {})
    device.refresh_from_db()
    assert (device.acknowledged_number, device.applied_number, device.durable_number) == (0, 0, 0)
    assert receipts(laptop, "held") == []
    target = PushTarget.objects.using(laptop).get()
    assert (target.epoch, target.acknowledged_number) == (device.epoch, 2)


def test_a_forged_statement_is_not_believed(laptop: str, device: LocalDevice) -> None:
    receipt = said("held", NAME, by=HOME, **about(batch(laptop, 1)))
    third = batch(laptop, 3)
    raised = {**receipt, "number": third.number, "hash": third.hash}
    assert take(laptop, raised) == (0, 0, {"wrong_signer": 1})
    thief = said("held", NAME, by=HOME, keys=device_keys("test-thief"), **about(third))
    assert take(laptop, thief) == (0, 0, {"wrong_signer": 1})
    assert receipts(laptop, "held") == []
    assert not Statement.objects.using(laptop).exists()


def test_a_relay_of_an_untrusted_issuer_is_not_believed_until_that_is_pinned(laptop: str, device: LocalDevice) -> None:
    certificate = certified(RELAY, issuer="test-foreign", role="relay")
    receipt = said("held", NAME, by=RELAY, certificate=certificate, **about(batch(laptop, 3), first=1))
    assert take(laptop, receipt) == (0, 0, {"issuer_unknown": 1})
    pin_server(laptop, "test-foreign", device_keys("test-foreign").public_hex)
    assert take(laptop, receipt) == (1, 0, {})


def test_a_server_without_a_certificate_that_is_not_pinned_is_not_believed(laptop: str, device: LocalDevice) -> None:
    receipt = said("held", NAME, by=CENTRAL, **about(batch(laptop, 3)))
    assert take(laptop, receipt) == (0, 0, {"certificate_invalid": 1})


def test_a_certificate_cannot_make_another_the_home_server(laptop: str, device: LocalDevice) -> None:
    pin_server(laptop, CENTRAL, device_keys(CENTRAL).public_hex)
    thief = device_keys("test-thief")
    certificate = certified(HOME, issuer=CENTRAL, role="server", keys=thief)
    receipt = said("held", NAME, by=HOME, keys=thief, certificate=certificate, **about(batch(laptop, 3)))
    assert take(laptop, receipt) == (0, 0, {"wrong_signer": 1})


def test_when_the_pinned_key_changes_only_the_new_one_counts(laptop: str, device: LocalDevice) -> None:
    rebuilt = device_keys("test-home-rebuilt")
    pin_server(laptop, HOME, rebuilt.public_hex)
    by_old = said("held", NAME, by=HOME, **about(batch(laptop, 2)))
    by_new = said("held", NAME, by=HOME, keys=rebuilt, **about(batch(laptop, 1)))
    assert take(laptop, by_old, by_new) == (1, 0, {"wrong_signer": 1})
    assert receipts(laptop, "held") == [1]


def test_a_receipt_about_a_life_that_the_device_has_left_is_no_alarm(laptop: str, device: LocalDevice) -> None:
    """It was restored and enrolled again; a relay has brought the end of its earlier epoch since."""
    receipt = said("held", NAME, by=HOME, **{**about(batch(laptop, 3)), "number": 9})
    LocalDevice.objects.using(laptop).filter(pk=device.pk).update(epoch="ef" * 16)
    assert take(laptop, receipt) == (0, 0, {"hash_differs": 1})
    assert not Alarm.objects.using(laptop).exists()


@pytest.mark.parametrize("facts", [{"hash": "ab" * 32}, {"number": 9}], ids=["another hash", "never sealed here"])
def test_a_receipt_about_other_batches_raises_an_alarm(laptop: str, device: LocalDevice, facts: dict[str, Any]) -> None:
    receipt = said("held", NAME, by=HOME, **{**about(batch(laptop, 3)), **facts})
    assert take(laptop, receipt) == (0, 0, {"hash_differs": 1})
    assert Alarm.objects.using(laptop).get().code == "receipt_differs"
    assert receipts(laptop, "held") == []
    device.refresh_from_db()
    assert device.acknowledged_number == 0


def test_receipts_of_an_earlier_epoch_mark_that_epoch_s_batches_only(laptop: str, device: LocalDevice) -> None:
    earlier, third = device.epoch, about(batch(laptop, 3))
    LocalDevice.objects.using(laptop).update(epoch="cd" * 16, head_number=0, head_hash="")
    assert take(laptop, said("held", NAME, by=HOME, **third), said("durable", NAME, by=HOME, **third)) == (2, 0, {})
    held = OutgoingBatch.objects.using(laptop).filter(receipts__has_keys=["held", "durable"], epoch=earlier)
    assert held.count() == 3
    device.refresh_from_db()
    assert (device.acknowledged_number, device.durable_number) == (0, 0)


@pytest.mark.parametrize(
    "junk",
    [None, 7, [], {}, {"kind": "held"}, {"kind": ["held"], "device": NAME}, {"kind": "held", "device": NAME, "at": 3}],
)
def test_what_is_no_statement_is_counted_and_left_out(laptop: str, device: LocalDevice, junk: Any) -> None:
    assert take(laptop, junk) == (0, 0, {"malformed_statement": 1})


def test_members_of_the_wrong_form_are_counted_and_left_out(laptop: str, device: LocalDevice) -> None:
    good = about(batch(laptop, 3))
    for wrong in ({"number": "3"}, {"number": 0}, {"hash": "x"}, {"epoch": None}, {"first": 4}, {"first": True}):
        assert take(laptop, said("held", NAME, by=HOME, **{**good, **wrong})) == (0, 0, {"malformed_statement": 1})
    after = {"epoch": "x", "number": 1}
    wrong_cut_off = said("revocation", NAME, by=HOME, public_keys=["ab" * 32], reason="", after=after)
    assert take(laptop, wrong_cut_off) == (0, 0, {"malformed_statement": 1})


def test_only_its_issuer_may_revoke_this_device(laptop: str, device: LocalDevice) -> None:
    pin_server(laptop, CENTRAL, device_keys(CENTRAL).public_hex)
    facts = {"public_keys": [device_keys(NAME).public_hex], "after": None, "reason": "lost"}
    assert take(laptop, said("revocation", NAME, by=CENTRAL, **facts)) == (0, 0, {"not_the_issuer": 1})
    assert take(laptop, said("revocation", NAME, by=HOME, **facts)) == (1, 0, {})


def test_a_clock_set_back_does_not_hide_later_heartbeats(laptop: str, device: LocalDevice) -> None:
    certificate = certified(NAME, issuer=HOME)
    ahead = said("heartbeat", NAME, by=NAME, certificate=certificate, pending=1, at="2090-01-01T00:00:00+00:00")
    assert take(laptop, ahead) == (1, 0, {})
    now = said("heartbeat", NAME, by=NAME, certificate=certificate, pending=2)
    assert take(laptop, now) == (1, 0, {})
    replayed = said("heartbeat", NAME, by=NAME, certificate=certificate, pending=0, at="2020-01-01T00:00:00+00:00")
    assert take(laptop, replayed) == (0, 1, {})
    assert Statement.objects.using(laptop).get().facts["pending"] == 2


def test_nobody_speaks_for_another_s_state(laptop: str, device: LocalDevice) -> None:
    assert take(laptop, said("heartbeat", NAME, by=HOME, pending=0)) == (0, 0, {"not_permitted": 1})
