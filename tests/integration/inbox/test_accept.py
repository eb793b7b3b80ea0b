"""Accepting: each batch is stored once, in its place; what does not fit is refused and, as a fork, kept."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from sync_api import exceptions as errors
from sync_api.enrolment.registration import revoke_device
from sync_api.inbox import accept
from sync_api.models import Alarm, IncomingBatch, IncomingEpoch, IncomingTransaction
from sync_api.wire.certificates import RECEIPT, is_signed_by
from sync_api.wire.keys import device_keys
from sync_api.wire.statements import sign_statement
from tests.integration.field import START, Chain, Enrolled, enrolled, raw_lines

pytestmark = [
    pytest.mark.django_db(databases=["server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
NAME = "test-laptop"


@pytest.fixture
def device(server: str) -> Enrolled:
    return enrolled(server, NAME)


@pytest.fixture
def chain(device: Enrolled) -> Chain:
    return Chain.fresh(device)


def states(server: str) -> list[tuple[int, str]]:
    return list(IncomingBatch.objects.using(server).order_by("number", "id").values_list("number", "state"))


def stored(server: str) -> tuple[int, int]:
    return IncomingBatch.objects.using(server).count(), IncomingTransaction.objects.using(server).count()


def test_a_batch_is_stored_with_its_lines_and_answered_with_a_signed_receipt(server: str, chain: Chain) -> None:
    content = chain.batch(3)
    accepted = accept(server, content, NAME)
    assert (accepted.state, accepted.number, accepted.expected, accepted.lines) == ("held", 1, 2, 3)
    server_name = {"server": "server-1", "server_pg": "server-2"}[server]
    assert is_signed_by(RECEIPT, accepted.receipt, device_keys(server_name).public_hex)
    batch = IncomingBatch.objects.using(server).get()
    assert bytes(batch.content) == content
    rows = list(IncomingTransaction.objects.using(server).order_by("id"))
    assert [row.sequence for row in rows] == [1, 2, 3]
    assert [row.unit for row in rows] == [0, 1, 2]
    assert rows[0].payload.startswith(f'["{rows[0].tx_pk}","seen 0"')
    assert (rows[0].user, rows[0].utc_offset, rows[0].producer) == ("mona", 120, f"{NAME}/host/default")
    assert not rows[0].is_consumed


def test_the_same_batch_again_gets_the_same_receipt_and_is_stored_once(server: str, chain: Chain) -> None:
    content = chain.batch()
    first, again = accept(server, content, NAME), accept(server, content, NAME)
    assert again.state == "duplicate"
    assert again.receipt == first.receipt
    assert stored(server) == (1, 2)


def test_early_batches_wait_and_follow_in_order_when_the_gap_closes(server: str, chain: Chain) -> None:
    first, second, third = chain.batch(), chain.batch(), chain.batch()
    assert [accept(server, batch, NAME).state for batch in (third, second)] == ["early", "early"]
    assert accept(server, third, NAME).expected == 1
    assert stored(server) == (2, 0)
    closing = accept(server, first, NAME)
    assert (closing.state, closing.expected) == ("held", 4)
    assert states(server) == [(1, "held"), (2, "held"), (3, "held")]
    sequences = IncomingTransaction.objects.using(server).order_by("id").values_list("sequence", flat=True)
    assert list(sequences) == [1, 2, 3, 4, 5, 6]
    assert accept(server, third, NAME).state == "duplicate"


def test_a_fork_is_refused_and_both_copies_survive(server: str, chain: Chain) -> None:
    forked = chain.fork()
    accept(server, chain.batch(), NAME)
    for _ in range(2):
        with pytest.raises(errors.BatchFork):
            accept(server, forked, NAME)
    assert states(server) == [(1, "held"), (1, "fork")]
    alarm = Alarm.objects.using(server).get()
    assert (alarm.code, alarm.times) == ("batch_fork", 2)
    assert accept(server, chain.batch(), NAME).state == "held"


def test_a_next_batch_on_another_previous_hash_is_a_fork(server: str, chain: Chain) -> None:
    accept(server, chain.batch(), NAME)
    with pytest.raises(errors.BatchFork):
        accept(server, chain.fork(previous="ab" * 32), NAME)


def test_of_two_early_ones_for_a_number_the_wrong_one_becomes_a_fork(server: str, chain: Chain) -> None:
    first = chain.batch()
    wrong = chain.fork(previous="ab" * 32)
    right = chain.batch()
    assert [accept(server, batch, NAME).state for batch in (wrong, right)] == ["early", "early"]
    assert Alarm.objects.using(server).get().code == "early_conflict"
    assert accept(server, first, NAME).expected == 3
    assert states(server) == [(1, "held"), (2, "fork"), (2, "held")]
    assert set(Alarm.objects.using(server).values_list("code", flat=True)) == {"early_conflict", "batch_fork"}


def test_forks_are_kept_up_to_their_limit(server: str, chain: Chain, settings: Any) -> None:
    settings.SYNC_FORKS_KEPT_MAX = 1
    forks = [chain.fork(), chain.fork()]
    accept(server, chain.batch(), NAME)
    for fork in forks:
        with pytest.raises(errors.BatchFork):
            accept(server, fork, NAME)
    assert states(server) == [(1, "held"), (1, "fork")]


@pytest.mark.parametrize("limit", ["SYNC_EARLY_BATCHES_MAX", "SYNC_EARLY_BYTES_MAX"])
def test_early_batches_are_limited(server: str, chain: Chain, settings: Any, limit: str) -> None:
    chain.batch()
    accept(server, chain.batch(), NAME)
    setattr(settings, limit, 1)
    with pytest.raises(errors.EarlyLimit) as refused:
        accept(server, chain.batch(), NAME)
    assert refused.value.expected == 1
    assert stored(server) == (1, 0)


def test_early_batches_past_their_age_give_way(server: str, chain: Chain) -> None:
    chain.batch()
    accept(server, chain.batch(), NAME)
    IncomingBatch.objects.using(server).update(received_at=F("received_at") - timedelta(days=61))
    accept(server, chain.batch(), NAME)
    assert states(server) == [(3, "early")]


def test_a_device_may_not_hand_over_another_s_batch_but_a_relay_may(server: str, chain: Chain) -> None:
    enrolled(server, "test-other")
    enrolled(server, "test-relay", role="relay")
    content = chain.batch()
    with pytest.raises(errors.WrongDevice):
        accept(server, content, "test-other")
    assert stored(server) == (0, 0)
    assert accept(server, content, "test-relay").state == "held"
    assert IncomingBatch.objects.using(server).get().received_from == "test-relay"


def test_a_signature_by_another_key_is_refused(server: str, chain: Chain) -> None:
    with pytest.raises(errors.BadSignature):
        accept(server, chain.batch(keys=device_keys("test-thief")), NAME)
    assert stored(server) == (0, 0)


def test_a_key_that_was_never_enrolled_is_refused(server: str, device: Enrolled) -> None:
    thief = device_keys("test-thief")
    stranger = Enrolled(NAME, thief, {**device.certificate, "public_key": thief.public_hex}, "")
    with pytest.raises(errors.KeyUnknown):
        accept(server, Chain.fresh(stranger).batch(), NAME)


def test_a_device_that_was_never_registered_is_refused(server: str) -> None:
    keys = device_keys("test-stranger")
    stranger = Enrolled("test-stranger", keys, {"public_key": keys.public_hex}, "")
    with pytest.raises(errors.DeviceUnknown):
        accept(server, Chain.fresh(stranger).batch(), "test-stranger")


def test_a_revoked_device_s_batches_are_good_up_to_the_cut_off(server: str, chain: Chain) -> None:
    first, second, third = chain.batch(), chain.batch(), chain.batch()
    accept(server, first, NAME)
    enrolled(server, "test-relay", role="relay")
    revoke_device(server, NAME, reason="stolen", after={"epoch": chain.epoch, "number": 2})
    assert accept(server, first, "test-relay").state == "duplicate"
    assert accept(server, second, "test-relay").state == "held"
    with pytest.raises(errors.DeviceRevoked):
        accept(server, third, "test-relay")
    assert states(server) == [(1, "held"), (2, "held")]


def test_a_device_revoked_before_anything_arrived_is_refused(server: str, chain: Chain) -> None:
    revoke_device(server, NAME, reason="stolen")
    with pytest.raises(errors.DeviceRevoked):
        accept(server, chain.batch(), NAME)
    assert stored(server) == (0, 0)
    assert not IncomingEpoch.objects.using(server).exists()


def test_a_restored_server_takes_its_own_word_for_a_batch_whose_key_was_revoked_since(
    server: str, chain: Chain
) -> None:
    first, second = chain.batch(), chain.batch()
    receipt = accept(server, first, NAME).receipt
    assert receipt is not None
    IncomingTransaction.objects.using(server).all().delete()  # the backup is older than the batch
    IncomingBatch.objects.using(server).all().delete()
    IncomingEpoch.objects.using(server).all().delete()
    revoke_device(server, NAME, reason="stolen")
    forged = sign_statement({**receipt, "number": 2}, device_keys(NAME))
    for proof in (None, {}, {**receipt, "number": 2}, forged, {"signature": "zz"}, {**receipt, "kind": "applied"}):
        with pytest.raises(errors.DeviceRevoked):
            accept(server, first, NAME, receipt=proof)
    with pytest.raises(errors.DeviceRevoked):
        accept(server, second, NAME, receipt=receipt)
    assert stored(server) == (0, 0)
    assert accept(server, first, NAME, receipt=receipt).receipt is not None
    assert states(server) == [(1, "held")]


def test_a_new_epoch_closes_the_one_before(server: str, device: Enrolled, chain: Chain) -> None:
    accept(server, chain.batch(), NAME)
    held = chain.hash
    later = Chain(device, secrets.token_hex(16), {"kind": "continues", "epoch": chain.epoch, "number": 1, "hash": held})
    accept(server, later.batch(), NAME)
    with pytest.raises(errors.EpochClosed):
        accept(server, chain.batch(), NAME)
    assert list(IncomingEpoch.objects.using(server).values_list("ordinal", "head_number")) == [(1, 1), (2, 1)]


def test_the_end_of_an_earlier_epoch_is_kept_when_others_bring_it(server: str, device: Enrolled, chain: Chain) -> None:
    """A relay took it before the laptop was restored from an older copy: nobody else has it any more."""
    accept(server, chain.batch(), NAME)
    held = chain.hash
    began = {"kind": "continues", "epoch": chain.epoch, "number": 1, "hash": held}
    later = Chain(device, secrets.token_hex(16), began)
    accept(server, later.batch(), NAME)
    second, third = chain.batch(), chain.batch()
    enrolled(server, "test-relay", role="relay")
    assert accept(server, third, "test-relay").state == "early"
    with pytest.raises(errors.EpochClosed):
        accept(server, second, NAME)
    assert accept(server, second, "test-relay").expected == 4
    assert accept(server, third, NAME, is_from_file=True).state == "duplicate"
    assert list(IncomingBatch.objects.using(server).order_by("id").values_list("is_late", flat=True)) == [
        *(False, False, True, True)
    ]
    assert [alarm.code for alarm in Alarm.objects.using(server).all()] == ["epoch_ended"]
    assert accept(server, later.batch(), NAME).state == "held"


def test_an_epoch_that_continues_an_unknown_one_is_refused(server: str, device: Enrolled, chain: Chain) -> None:
    accept(server, chain.batch(), NAME)
    began = {"kind": "continues", "epoch": "ab" * 16, "number": 1, "hash": "cd" * 32}
    with pytest.raises(errors.EpochUnknown):
        accept(server, Chain(device, secrets.token_hex(16), began).batch(), NAME)
    assert IncomingEpoch.objects.using(server).count() == 1


def test_an_epoch_that_says_otherwise_how_it_began_is_refused(server: str, chain: Chain) -> None:
    accept(server, chain.batch(), NAME)
    began = {"kind": "continues", "epoch": chain.epoch, "number": 1, "hash": chain.hash}
    with pytest.raises(errors.EpochUnknown):
        accept(server, chain.fork(began=began), NAME)


@pytest.mark.parametrize("member", ["first", "effective"])
def test_a_batch_that_does_not_count_on_from_the_one_before_is_refused(server: str, chain: Chain, member: str) -> None:
    accept(server, chain.batch(), NAME)
    with pytest.raises(errors.SequenceMismatch):
        accept(server, chain.fork(**{member: 7}), NAME)
    assert stored(server) == (1, 2)


def test_a_time_that_is_not_the_last_unit_s_is_refused_and_nothing_stays(server: str, chain: Chain) -> None:
    with pytest.raises(errors.MalformedEnvelope):
        accept(server, chain.fork(effective=START * 2), NAME)
    assert stored(server) == (0, 0)
    assert not IncomingEpoch.objects.using(server).exists()


def test_a_wrong_line_stores_nothing_of_its_batch(server: str, chain: Chain) -> None:
    lines = [*raw_lines(3, "good"), b'[3,0,"I",0,0,null,null,null,["k"]]']
    with pytest.raises(errors.MalformedEnvelope):
        accept(server, chain.batch(4, raw_lines=lines), NAME)
    assert stored(server) == (0, 0)


def test_nul_in_keys_and_reasons_is_shown_by_its_sign(server: str, chain: Chain) -> None:
    line = b'[0,0,"I",0,0,"a\\u0000b",null,null,["k\\u0000","t\\u0000"]]'
    accept(server, chain.batch(1, raw_lines=[line]), NAME)
    row = IncomingTransaction.objects.using(server).get()
    assert (row.user, row.tx_pk) == ("a\N{SYMBOL FOR NULL}b", "k\N{SYMBOL FOR NULL}")
    assert row.payload == '["k\\u0000","t\\u0000"]'


def test_the_clock_set_back_does_not_set_the_effective_time_back(server: str, chain: Chain) -> None:
    accept(server, chain.batch(1), NAME)
    accept(server, chain.batch(1, time=chain.effective, raw_lines=[_line_at(-3_600_000_000)]), NAME)
    rows = IncomingTransaction.objects.using(server).order_by("id")
    first, second = rows
    assert second.captured_at < first.captured_at
    assert second.effective_at == first.effective_at


def _line_at(dt: int) -> bytes:
    return f'[0,0,"U",{dt},0,null,null,null,["k","t"]]'.encode()


def test_the_number_of_statements_does_not_depend_on_the_number_of_lines(server: str, device: Enrolled) -> None:
    counts = []
    for lines in (100, 5_000):
        content = Chain.fresh(device).batch(lines)
        with CaptureQueriesContext(connections[server]) as queries:
            accept(server, content, NAME)
        counts.append(len(queries))
        IncomingTransaction.objects.using(server).all().delete()
        IncomingBatch.objects.using(server).all().delete()
        IncomingEpoch.objects.using(server).all().delete()
    assert counts[0] == counts[1]
