"""Enrolment on the server: a code works once, for one key; a lost answer may be asked for again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from audit.models import Device
from sync_api import exceptions as errors
from sync_api.enrolment.codes import new_code
from sync_api.enrolment.registration import (
    add_device,
    enrol_device,
    find_credential,
    revoke_device,
    server_identity,
)
from sync_api.enrolment.requests import make_request, read_request
from sync_api.models import DeviceCredential, EnrolmentCode
from sync_api.wire.certificates import CERTIFICATE, is_signed_by
from sync_api.wire.keys import device_keys

pytestmark = [
    pytest.mark.django_db(databases=["server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
NAME = "test-laptop"


def ask(server: str, code: str, *, name: str = NAME, key_of: str = NAME) -> dict[str, Any]:
    return enrol_device(server, read_request(make_request(code=code, device=name, keys=device_keys(key_of))))


def test_a_code_gives_certificate_token_and_the_server_s_key(server: str) -> None:
    new = add_device(server, NAME)
    answer = ask(server, new.code.upper().replace("-", " "))
    assert answer["server"] == server_identity(server)
    assert is_signed_by(CERTIFICATE, answer["certificate"], answer["server"]["public_key"])
    assert (answer["certificate"]["device"], answer["certificate"]["role"]) == (NAME, "client")
    credential = find_credential(server, answer["token"])
    assert credential is not None
    assert credential.device.name == NAME


def test_neither_code_nor_token_is_kept(server: str) -> None:
    new = add_device(server, NAME)
    token = ask(server, new.code)["token"]
    kept = [*EnrolmentCode.objects.using(server).values(), *DeviceCredential.objects.using(server).values()]
    assert new.code not in str(kept)
    assert token not in str(kept)


def test_the_same_key_may_ask_again_and_the_earlier_token_ends(server: str) -> None:
    code = add_device(server, NAME).code
    first, again = ask(server, code), ask(server, code)
    assert find_credential(server, first["token"]) is None
    assert find_credential(server, again["token"]) is not None
    assert DeviceCredential.objects.using(server).count() == 1


def test_another_key_cannot_use_a_used_code(server: str) -> None:
    code = add_device(server, NAME).code
    ask(server, code)
    with pytest.raises(errors.CodeRefused, match="used already"):
        ask(server, code, key_of="test-thief")


def test_an_expired_code_is_refused(server: str) -> None:
    code = add_device(server, NAME).code
    EnrolmentCode.objects.using(server).update(expires_at=F("expires_at") - timedelta(hours=73))
    with pytest.raises(errors.CodeRefused, match="expired"):
        ask(server, code)


def test_a_new_code_ends_the_one_before(server: str) -> None:
    first, second = add_device(server, NAME).code, add_device(server, NAME).code
    with pytest.raises(errors.CodeRefused):
        ask(server, first)
    assert ask(server, second)["device"] == NAME


def test_a_code_for_another_device_is_refused_and_stays_usable(server: str) -> None:
    code = add_device(server, NAME).code
    with pytest.raises(errors.DeviceNameDiffers, match="SYNC_DEVICE=test-laptop"):
        ask(server, code, name="test-other")
    assert ask(server, code)["device"] == NAME


def test_a_request_signed_with_another_key_is_refused() -> None:
    honest = make_request(code=new_code(), device=NAME, keys=device_keys(NAME))
    for changed in (
        {"public_key": device_keys("test-thief").public_hex},
        {"device": "other"},
        {"signature": "00" * 64},
    ):
        with pytest.raises(errors.ProofInvalid):
            read_request({**honest, **changed})


def test_a_key_of_another_device_is_refused(server: str) -> None:
    ask(server, add_device(server, NAME).code)
    other = add_device(server, "test-other").code
    with pytest.raises(errors.KeyTaken):
        ask(server, other, name="test-other", key_of=NAME)


def test_a_device_s_earlier_key_stays_known_and_its_token_ends(server: str) -> None:
    first = ask(server, add_device(server, NAME).code)
    ask(server, add_device(server, NAME).code, key_of="test-new-key")
    assert find_credential(server, first["token"]) is None
    assert DeviceCredential.objects.using(server).filter(device__name=NAME, revoked_at=None).count() == 2


def test_a_revoked_device_s_token_is_refused_and_a_new_key_lets_it_back(server: str) -> None:
    token = ask(server, add_device(server, NAME).code)["token"]
    assert revoke_device(server, NAME, reason="lost") is None
    with pytest.raises(errors.DeviceRevoked):
        find_credential(server, token)
    code = add_device(server, NAME).code
    with pytest.raises(errors.KeyTaken, match="--new-key"):
        ask(server, code)
    assert find_credential(server, ask(server, code, key_of="test-new-key")["token"]) is not None


def test_an_unknown_device_cannot_be_revoked(server: str) -> None:
    with pytest.raises(errors.DeviceUnknown):
        revoke_device(server, "test-nobody", reason="lost")


def test_role_and_name_are_checked_and_kept(server: str) -> None:
    add_device(server, "test-relay", role="relay")
    add_device(server, "test-relay")
    assert Device.objects.using(server).get(name="test-relay").role == "relay"
    for name in ("", "-x", "a/b", "x" * 65, "a b"):
        with pytest.raises(errors.DeviceNameInvalid):
            add_device(server, name)
