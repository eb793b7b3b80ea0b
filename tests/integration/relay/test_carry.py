"""Carrying: the very bytes, in any order, any number of times; what is forged or altered is not taken."""

from __future__ import annotations

import random
import secrets
from typing import Any

import pytest

from sync_api import exceptions as errors
from sync_api.models import Alarm, CarriedBatch, Statement
from sync_api.relay import carry
from sync_api.relay.custody import custody
from sync_api.relay.receipts import receipts_for
from sync_api.wire.format import MAGIC
from sync_api.wire.keys import DeviceKeys, device_keys
from sync_api.wire.statements import is_statement, is_statement_of, sign_statement
from tests.integration.field import Chain, Enrolled
from tests.integration.relay.conftest import CENTRAL, certified

pytestmark = [
    pytest.mark.django_db(databases=["default", "server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]


@pytest.fixture
def laptop(middleman: str) -> Enrolled:
    return certified("laptop-7")


def take(middleman: str, content: bytes, by: str = "laptop-7", role: str = "client") -> Any:
    return carry(middleman, content, handed_over_by=by, role=role, via="push")


def test_the_very_bytes_are_kept_and_no_line_of_them(middleman: str, laptop: Enrolled) -> None:
    content = Chain.fresh(laptop).batch(3)
    assert take(middleman, content).state == "held"
    batch = CarriedBatch.objects.using(middleman).get()
    assert bytes(batch.content) == content
    assert (batch.number, batch.lines, batch.received_from, batch.received_via) == (1, 3, "laptop-7", "push")


def test_the_receipt_is_the_relay_s_word_about_this_batch_alone(middleman: str, laptop: Enrolled) -> None:
    chain = Chain.fresh(laptop)
    chain.batch()
    receipt = take(middleman, chain.batch()).receipt
    assert is_statement(receipt)
    assert is_statement_of(receipt, device_keys("relay-1").public_hex)
    assert (receipt["kind"], receipt["first"], receipt["number"]) == ("held", 2, 2)
    assert receipt["hash"] == chain.hash
    assert receipt["certificate"]["role"] == "relay"


def test_the_same_batch_again_gets_the_same_receipt_and_is_kept_once(middleman: str, laptop: Enrolled) -> None:
    content = Chain.fresh(laptop).batch()
    first, again = take(middleman, content), take(middleman, content)
    assert again.state == "duplicate"
    assert again.receipt == first.receipt
    assert CarriedBatch.objects.using(middleman).count() == 1


def test_any_order_and_gaps_are_taken(middleman: str, laptop: Enrolled) -> None:
    chain = Chain.fresh(laptop)
    contents = [chain.batch() for _ in range(6)]
    del contents[2]
    random.Random(7).shuffle(contents)
    for content in contents:
        take(middleman, content)
    numbers = CarriedBatch.objects.using(middleman).order_by("number").values_list("number", flat=True)
    assert list(numbers) == [1, 2, 4, 5, 6]
    hashes = CarriedBatch.objects.using(middleman).values_list("hash", flat=True)
    runs = [(receipt["first"], receipt["number"]) for receipt in receipts_for(middleman, "laptop-7", hashes)]
    assert sorted(runs) == [(1, 2), (4, 6)]


def test_two_different_batches_for_one_number_are_both_kept_with_an_alarm(middleman: str, laptop: Enrolled) -> None:
    chain = Chain.fresh(laptop)
    forked, kept = chain.fork(), chain.batch()
    take(middleman, kept)
    take(middleman, forked)
    assert CarriedBatch.objects.using(middleman).filter(number=1).count() == 2
    assert Alarm.objects.using(middleman).get().code == "carried_conflict"


def test_a_relay_may_bring_others_batches_and_a_client_may_not(middleman: str, laptop: Enrolled) -> None:
    content = Chain.fresh(laptop).batch()
    with pytest.raises(errors.WrongDevice):
        take(middleman, content, by="laptop-8")
    assert take(middleman, content, by="relay-2", role="relay").state == "held"


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("place", [0, len(MAGIC) + 3, len(MAGIC) + 64 + 20, -3])
def test_an_altered_batch_is_refused_and_nothing_is_kept(middleman: str, laptop: Enrolled, place: int) -> None:
    content = Chain.fresh(laptop).batch(20)
    with pytest.raises((errors.MalformedEnvelope, errors.BadSignature, errors.EnvelopeTooLarge)):
        take(middleman, flipped(content, place % len(content)))
    assert not CarriedBatch.objects.using(middleman).exists()
    assert not Statement.objects.using(middleman).exists()


def test_a_forged_batch_is_refused(middleman: str, laptop: Enrolled) -> None:
    forger = certified("laptop-8")
    with pytest.raises(errors.BadSignature):
        take(middleman, Chain.fresh(laptop).batch(keys=forger.keys))


def test_another_device_s_certificate_is_refused(middleman: str, laptop: Enrolled) -> None:
    other = certified("laptop-8")
    content = Chain.fresh(Enrolled("laptop-7", other.keys, other.certificate, "")).batch()
    with pytest.raises(errors.CertificateInvalid):
        take(middleman, content)


def test_a_certificate_of_an_unknown_server_is_refused(middleman: str, laptop: Enrolled, settings: Any) -> None:
    settings.SYNC_DATABASES = {**settings.SYNC_DATABASES, CENTRAL: {"role": "server", "device": "elsewhere"}}
    stranger = certified("laptop-9")
    with pytest.raises(errors.CertificateInvalid):
        take(middleman, Chain.fresh(stranger).batch(), by="laptop-9")


def test_a_device_that_was_never_enrolled_is_refused(middleman: str, laptop: Enrolled) -> None:
    own = {"device": "laptop-7", "public_key": laptop.keys.public_hex}
    with pytest.raises(errors.CertificateInvalid):
        take(middleman, Chain.fresh(Enrolled("laptop-7", laptop.keys, own, "")).batch())


def test_of_a_revoked_device_only_what_is_before_the_cut_off_is_taken(middleman: str, laptop: Enrolled) -> None:
    chain = Chain.fresh(laptop)
    first, second = chain.batch(), chain.batch()
    revoke(middleman, laptop, after={"epoch": chain.epoch, "number": 1})
    assert take(middleman, first).state == "held"
    with pytest.raises(errors.DeviceRevoked):
        take(middleman, second)


def revoke(middleman: str, device: Enrolled, *, after: dict[str, Any]) -> None:
    keys: DeviceKeys = device_keys("central")
    facts = {
        "kind": "revocation",
        "device": device.name,
        "signer": "central",
        "at": "2026-05-04T09:00:00+00:00",
        "public_keys": [device.keys.public_hex],
        "after": after,
        "reason": "stolen",
    }
    from sync_api.trust import take_statements

    taken = take_statements(middleman, [sign_statement(facts, keys)], via="test")
    assert taken.new == 1, taken


def test_a_full_relay_takes_nothing_more_and_says_what_to_do(middleman: str, laptop: Enrolled, settings: Any) -> None:
    chain = Chain.fresh(laptop)
    first = chain.batch()
    settings.SYNC_CARRIED_BYTES_MAX = len(first)
    take(middleman, first)
    with pytest.raises(errors.RelayFull, match="purge_transport"):
        take(middleman, chain.batch())
    assert take(middleman, first).state == "duplicate"


def test_custody_says_who_took_which_batches_from_whom(middleman: str, laptop: Enrolled) -> None:
    chain = Chain.fresh(laptop)
    for _ in range(3):
        take(middleman, chain.batch())
    (run,) = custody(middleman)
    assert (run.device, run.first, run.number, run.signer, run.action, run.other) == (
        *("laptop-7", 1, 3, "relay-1"),
        *("received", "laptop-7"),
    )
    assert not run.arrived
    assert custody(middleman, only_missing=True) == [run]
    assert custody(middleman, device=f"other-{secrets.token_hex(2)}") == []
