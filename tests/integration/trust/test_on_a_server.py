"""On a server: devices known only by their certificate, revocations by their issuer, and receipts as witnesses."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from audit.models import Device
from sync_api import exceptions as errors
from sync_api.conf import alias_settings
from sync_api.enrolment.registration import add_device, enrol_device, revoke_device
from sync_api.enrolment.requests import make_request, read_request
from sync_api.inbox import accept
from sync_api.models import Alarm, DeviceCredential, IncomingBatch, IncomingEpoch, IncomingTransaction, Statement
from sync_api.trust import check_certificate, own_certificate, statements_for, take_statements, trusted_servers
from sync_api.trust.pins import pin_server
from sync_api.wire.keys import device_keys
from tests.integration.field import Chain, Enrolled, enrolled
from tests.integration.trust.said import certified, said

pytestmark = [
    pytest.mark.django_db(databases=["server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
NAME = "test-laptop"
SITE = "test-site"
"""Another server, which enrolled the device; this one is the central server."""


def elsewhere(name: str = NAME, *, issuer: str = SITE, role: str = "client") -> Enrolled:
    """A device that enrolled with another server."""
    return Enrolled(name, device_keys(name), certified(name, issuer=issuer, role=role), "")


@pytest.fixture
def pinned(server: str) -> None:
    pin_server(server, SITE, device_keys(SITE).public_hex)


@pytest.fixture
def relay(server: str, pinned: None) -> Enrolled:
    return enrolled(server, "test-relay", role="relay")


def take(server: str, *statements: Any) -> tuple[int, int, dict[str, int]]:
    taken = take_statements(server, statements, via="test")
    return taken.new, taken.known, dict(taken.refused)


def assert_nothing_stored(server: str) -> None:
    for model in (IncomingBatch, IncomingTransaction, IncomingEpoch):
        assert not model.objects.using(server).exists()
    assert not Device.objects.using(server).filter(name=NAME).exists()


def test_a_device_of_a_trusted_server_is_registered_by_its_certificate(server: str, pinned: None) -> None:
    device = elsewhere(role="relay")
    assert accept(server, Chain.fresh(device).batch(), NAME).state == "held"
    credential = DeviceCredential.objects.using(server).select_related("device").get()
    assert (credential.device.name, credential.device.role) == (NAME, "relay")
    assert credential.device.registered_by == f"certificate of {SITE}"
    assert credential.certificate == device.certificate


def test_the_certificate_of_an_untrusted_issuer_is_refused(server: str) -> None:
    with pytest.raises(errors.IssuerUnknown, match=f"trust_server {SITE}"):
        accept(server, Chain.fresh(elsewhere()).batch(), NAME)
    assert_nothing_stored(server)


def test_a_forged_or_altered_certificate_is_refused(server: str, pinned: None) -> None:
    honest = elsewhere()
    thief = certified(NAME, issuer="test-thief")
    for certificate in (
        {**honest.certificate, "role": "server"},
        {**honest.certificate, "issuer_key": device_keys("test-thief").public_hex},
        {**thief, "issuer": SITE},
        {**honest.certificate, "more": "x"},
        {"device": NAME, "public_key": honest.keys.public_hex, "issuer": SITE},
    ):
        forged = Enrolled(NAME, honest.keys, certificate, "")
        with pytest.raises(errors.CertificateInvalid):
            accept(server, Chain.fresh(forged).batch(), NAME)
    assert_nothing_stored(server)


def test_another_s_certificate_does_not_cover_a_batch(server: str, pinned: None) -> None:
    other = elsewhere("test-other")
    with pytest.raises(errors.DeviceUnknown):
        accept(server, Chain.fresh(Enrolled(NAME, other.keys, other.certificate, "")).batch(), NAME)
    with pytest.raises(errors.BadSignature):
        accept(server, Chain.fresh(elsewhere()).batch(keys=device_keys("test-thief")), NAME)
    assert_nothing_stored(server)


def test_a_pinned_key_that_changed_is_not_believed_any_more(server: str, pinned: None) -> None:
    with pytest.raises(errors.PinDiffers):
        pin_server(server, SITE, device_keys("test-new").public_hex)
    pin_server(server, SITE, device_keys("test-new").public_hex, replace=True)
    with pytest.raises(errors.CertificateInvalid, match="known key"):
        accept(server, Chain.fresh(elsewhere()).batch(), NAME)
    assert_nothing_stored(server)


def test_two_servers_devices_of_one_name_are_not_mixed(server: str, pinned: None) -> None:
    enrolled(server, NAME)
    stranger = Enrolled(NAME, device_keys("test-same-name"), {}, "")
    certificate = certified(NAME, issuer=SITE, keys=stranger.keys)
    chain = Chain.fresh(Enrolled(NAME, stranger.keys, certificate, ""))
    with pytest.raises(errors.DeviceNameTaken, match="other"):
        accept(server, chain.batch(), NAME)
    assert DeviceCredential.objects.using(server).count() == 1


def test_a_name_that_waits_for_its_code_is_not_taken_by_another_server(server: str, pinned: None) -> None:
    code = add_device(server, NAME)
    with pytest.raises(errors.DeviceNameTaken):
        accept(server, Chain.fresh(elsewhere(role="relay")).batch(), NAME)
    assert Device.objects.using(server).get(name=NAME).role == "client"
    assert not DeviceCredential.objects.using(server).exists()
    keys = device_keys(NAME)
    enrol_device(server, read_request(make_request(code=code.code, device=NAME, keys=keys)))
    assert DeviceCredential.objects.using(server).get().device.role == "client"


def test_a_further_key_from_the_same_server_is_taken(server: str, pinned: None) -> None:
    accept(server, Chain.fresh(elsewhere()).batch(), NAME)
    keys = device_keys("test-second-key")
    again = Enrolled(NAME, keys, certified(NAME, issuer=SITE, keys=keys), "")
    accept(server, Chain.fresh(again).batch(), NAME)
    assert DeviceCredential.objects.using(server).filter(device__name=NAME).count() == 2


def test_a_restored_server_finds_again_the_device_that_it_enrolled(server: str) -> None:
    device = enrolled(server, NAME)
    content = Chain.fresh(device).batch()
    DeviceCredential.objects.using(server).all().delete()
    Device.objects.using(server).all().delete()
    assert accept(server, content, NAME).state == "held"
    assert Device.objects.using(server).get().role == "client"


def test_a_restored_server_takes_its_own_revocation_back(server: str) -> None:
    device = enrolled(server, NAME)
    chain = Chain.fresh(device)
    first, second = chain.batch(), chain.batch()
    accept(server, first, NAME)
    revoke_device(server, NAME, reason="stolen")
    carried = list(Statement.objects.using(server).values_list("facts", flat=True))
    for model in (IncomingTransaction, IncomingBatch, IncomingEpoch, DeviceCredential, Device, Statement):
        model.objects.using(server).all().delete()
    assert take(server, *carried) == (1, 0, {})
    enrolled(server, "test-relay", role="relay")
    assert accept(server, first, "test-relay").state == "held"
    with pytest.raises(errors.DeviceRevoked):
        accept(server, second, "test-relay")


def test_a_revocation_reaches_the_central_server_with_its_cut_off(server: str, relay: Enrolled) -> None:
    chain = Chain.fresh(elsewhere())
    first, second, third = chain.batch(), chain.batch(), chain.batch()
    accept(server, first, relay.name)
    keys = {"public_keys": [chain.device.keys.public_hex], "reason": "stolen"}
    revocation = said("revocation", NAME, by=SITE, after={"epoch": chain.epoch, "number": 2}, **keys)
    assert take(server, revocation) == (1, 0, {})
    assert accept(server, second, relay.name).state == "held"
    with pytest.raises(errors.DeviceRevoked):
        accept(server, third, relay.name)
    with pytest.raises(errors.CertificateRevoked):
        check_certificate(server, chain.device.certificate)
    assert Device.objects.using(server).get(name=NAME).revoked_at is not None


def test_a_revocation_before_the_first_batch_lets_the_earlier_ones_through(server: str, relay: Enrolled) -> None:
    chain = Chain.fresh(elsewhere())
    first = chain.batch()
    link = {"kind": "continues", "epoch": chain.epoch, "number": 1, "hash": chain.hash}
    later = Chain(chain.device, secrets.token_hex(16), link)
    second, third = later.batch(), later.batch()
    after = {"epoch": later.epoch, "number": 1, "earlier": [chain.epoch]}
    keys = {"public_keys": [chain.device.keys.public_hex], "reason": "stolen"}
    assert take(server, said("revocation", NAME, by=SITE, after=after, **keys)) == (1, 0, {})
    assert [accept(server, batch, relay.name).state for batch in (first, second)] == ["held", "held"]
    with pytest.raises(errors.DeviceRevoked):
        accept(server, third, relay.name)


def test_a_stolen_key_cannot_begin_an_epoch_after_its_revocation(server: str, relay: Enrolled) -> None:
    chain = Chain.fresh(elsewhere())
    keys = {"public_keys": [chain.device.keys.public_hex], "reason": "stolen"}
    take(server, said("revocation", NAME, by=SITE, after={"epoch": chain.epoch, "number": 5}, **keys))
    with pytest.raises(errors.DeviceRevoked):
        accept(server, Chain.fresh(chain.device).batch(), relay.name)
    assert_nothing_stored(server)


def test_only_the_issuer_may_revoke(server: str, relay: Enrolled) -> None:
    pin_server(server, "test-foreign", device_keys("test-foreign").public_hex)
    chain = Chain.fresh(elsewhere())
    accept(server, chain.batch(), relay.name)
    facts = {"public_keys": [chain.device.keys.public_hex], "after": None, "reason": "spite"}
    assert take(server, said("revocation", NAME, by="test-foreign", **facts)) == (0, 0, {"not_the_issuer": 1})
    assert accept(server, chain.batch(), relay.name).state == "held"


def test_a_foreign_revocation_that_came_before_the_device_has_no_effect(server: str, relay: Enrolled) -> None:
    pin_server(server, "test-foreign", device_keys("test-foreign").public_hex)
    chain = Chain.fresh(elsewhere())
    facts = {"public_keys": [chain.device.keys.public_hex], "after": None, "reason": "spite"}
    assert take(server, said("revocation", NAME, by="test-foreign", **facts)) == (1, 0, {})
    assert accept(server, chain.batch(), relay.name).state == "held"


def test_a_new_key_from_its_server_lets_a_revoked_device_back(server: str, relay: Enrolled) -> None:
    chain = Chain.fresh(elsewhere())
    accept(server, chain.batch(), relay.name)
    take(server, said("revocation", NAME, by=SITE, public_keys=[chain.device.keys.public_hex], after=None, reason="l"))
    assert Device.objects.using(server).get(name=NAME).revoked_at is not None
    keys = device_keys("test-second-key")
    again = Enrolled(NAME, keys, certified(NAME, issuer=SITE, keys=keys), "")
    assert accept(server, Chain.fresh(again).batch(), relay.name).state == "held"
    assert Device.objects.using(server).get(name=NAME).revoked_at is None


def test_a_device_that_this_operator_revoked_stays_out_with_any_key(server: str, relay: Enrolled) -> None:
    accept(server, Chain.fresh(elsewhere()).batch(), relay.name)
    revoke_device(server, NAME, reason="not welcome here")
    assert not Statement.objects.using(server).filter(kind="revocation").exists()
    keys = device_keys("test-second-key")
    again = Enrolled(NAME, keys, certified(NAME, issuer=SITE, keys=keys), "")
    with pytest.raises(errors.DeviceRevoked):
        accept(server, Chain.fresh(again).batch(), relay.name)


def test_two_roads_at_once_register_a_new_device_once(server: str, relay: Enrolled) -> None:
    chain = Chain.fresh(elsewhere())
    contents = [chain.batch() for _ in range(4)]

    def bring(content: bytes) -> str:
        try:
            return accept(server, content, relay.name).state
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(contents)) as roads:
        states = list(roads.map(bring, contents))
    assert set(states) <= {"held", "early"}
    assert DeviceCredential.objects.using(server).filter(device__name=NAME).count() == 1
    assert IncomingEpoch.objects.using(server).get().head_number == 4


def test_a_relay_may_not_revoke(server: str, relay: Enrolled) -> None:
    facts = {"public_keys": [device_keys(NAME).public_hex], "after": None, "reason": "spite"}
    revocation = said("revocation", NAME, by=relay.name, certificate=relay.certificate, **facts)
    assert take(server, revocation) == (0, 0, {"not_permitted": 1})


def test_revoking_states_it_for_the_keys_certified_here(server: str) -> None:
    enrolled(server, NAME)
    after = {"epoch": "ab" * 16, "number": 2}
    revoke_device(server, NAME, reason="lost", after=after)
    (statement,) = [one for one in statements_for(server, [NAME]) if one["kind"] == "revocation"]
    assert statement["signer"] == alias_settings(server).device
    assert statement["public_keys"] == [device_keys(NAME).public_hex]
    assert statement["after"] == {**after, "earlier": []}


def test_a_revoked_relay_s_word_ends_and_its_custody_stays_known(server: str, relay: Enrolled) -> None:
    revoke_device(server, relay.name, reason="lost")
    batch = {"epoch": "ab" * 16, "number": 1, "hash": "cd" * 32}
    by = {"by": relay.name, "certificate": relay.certificate}
    held = said("held", NAME, **by, **batch, first=1)
    custody = said("custody", NAME, **by, **batch, action="received", other=NAME, via="pull")
    assert take(server, held, custody) == (1, 0, {"certificate_revoked": 1})


def test_receipts_are_computed_and_handed_on_with_what_others_said(server: str, relay: Enrolled) -> None:
    chain = Chain.fresh(elsewhere())
    accepted = accept(server, chain.batch(), relay.name)
    IncomingEpoch.objects.using(server).update(consumed_number=1)
    by_site = said("durable", NAME, by=SITE, epoch=chain.epoch, number=1, hash=chain.hash)
    custody = said(
        *("custody", NAME),
        by=relay.name,
        certificate=relay.certificate,
        action="handed_over",
        other=SITE,
        via="push",
        epoch=chain.epoch,
        number=1,
        hash=chain.hash,
    )
    assert take(server, by_site, custody) == (2, 0, {})
    told = statements_for(server, [NAME])
    assert [one["kind"] for one in told] == ["held", "applied", "durable", "custody"]
    assert told[0] == accepted.receipt
    assert (told[1]["parked"], told[1]["preserved"]) == (0, [])
    assert statements_for(server, ["test-nobody"]) == []
    assert statements_for(server) == told


def test_custody_is_handed_on_up_to_its_limit(server: str, relay: Enrolled, settings: Any) -> None:
    settings.SYNC_CUSTODY_PER_DEVICE_MAX = 2
    by = {"by": relay.name, "certificate": relay.certificate, "action": "received", "other": NAME, "via": "push"}
    facts = {"epoch": "ab" * 16, "hash": "cd" * 32}
    take(server, *(said("custody", NAME, **by, **facts, number=number) for number in (1, 2, 3)))
    assert [one["number"] for one in statements_for(server)] == [2, 3]
    assert Statement.objects.using(server).count() == 3


def test_custody_is_kept_up_to_its_limit(server: str, relay: Enrolled, settings: Any) -> None:
    settings.SYNC_CUSTODY_KEPT_MAX = 3
    by = {"by": relay.name, "certificate": relay.certificate, "action": "received", "other": NAME, "via": "push"}
    facts = {"epoch": "ab" * 16, "hash": "cd" * 32}
    take(server, *(said("custody", NAME, **by, **facts, number=number) for number in (1, 2, 3)))
    take(server, *(said("custody", NAME, **by, **facts, number=number) for number in (4, 5)))
    take(server, said("custody", "test-other", **{**by, "other": "test-other"}, **facts, number=1))
    kept = Statement.objects.using(server).order_by("pk").values_list("device", "number")
    assert list(kept) == [(NAME, 3), (NAME, 4), (NAME, 5), ("test-other", 1)]


def test_alarms_of_one_kind_are_few(server: str, relay: Enrolled, settings: Any) -> None:
    """What they say comes from others: another hash each time is another alarm, up to the limit."""
    settings.SYNC_ALARMS_OPEN_MAX = 2
    chain = Chain.fresh(elsewhere())
    accept(server, chain.batch(), relay.name)
    for other in ("aa", "bb", "cc", "dd"):
        take(server, said("held", NAME, by=SITE, epoch=chain.epoch, number=1, hash=other * 32))
    alarms = Alarm.objects.using(server).order_by("pk")
    assert [(alarm.facts["hash"][:2], alarm.times) for alarm in alarms] == [("aa", 1), ("bb", 3)]


def test_another_s_receipt_about_another_batch_is_an_alarm(server: str, relay: Enrolled) -> None:
    chain = Chain.fresh(elsewhere())
    accept(server, chain.batch(), relay.name)
    receipt = said("held", NAME, by=SITE, epoch=chain.epoch, number=1, hash="ab" * 32)
    assert take(server, receipt) == (1, 0, {})
    assert Alarm.objects.using(server).get().code == "receipt_differs"


def test_a_restored_server_learns_from_its_own_receipt_that_it_is_behind(server: str) -> None:
    chain = Chain.fresh(enrolled(server, NAME))
    first, second = chain.batch(), chain.batch()
    accept(server, first, NAME)
    own = alias_settings(server).device
    receipt = said("held", NAME, by=own, epoch=chain.epoch, number=2, hash=chain.hash)
    assert take(server, receipt) == (1, 0, {})
    assert Alarm.objects.using(server).get().code == "server_behind"
    assert accept(server, second, NAME).state == "held"


def test_a_server_believes_itself_and_whom_it_pinned(server: str, pinned: None) -> None:
    own = alias_settings(server).device
    assert trusted_servers(server) == {
        own: device_keys(own).public_hex,
        SITE: device_keys(SITE).public_hex,
    }
    certificate = own_certificate(server)
    assert certificate == own_certificate(server)
    check_certificate(server, certificate)
