"""A server restored from a backup that is older than a device's enrolment, and a server's own batches elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.models import Device
from sync_api import exceptions as errors
from sync_api.client import enrol, push
from sync_api.conf import alias_settings
from sync_api.enrolment.registration import add_device, revoke_device
from sync_api.inbox import accept
from sync_api.models import (
    DeviceCredential,
    EnrolmentCode,
    IncomingBatch,
    IncomingEpoch,
    IncomingTransaction,
    LocalDevice,
    OutgoingBatch,
)
from sync_api.sealing import seal
from sync_api.trust.pins import pin_server
from sync_api.wire.keys import device_keys
from tests.integration.client.road import Road
from tests.integration.client.test_push import reset
from tests.integration.field import captured, local

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
URL = "http://localhost"


@pytest.fixture
def name(laptop: str, server: str, settings: Any, tmp_path: Path) -> Iterator[str]:
    settings.SYNC_SERVER_DATABASE = server
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    reset(laptop)
    name = alias_settings(laptop).device
    code = add_device(server, name).code
    enrol(laptop, URL, code, transport=Road())
    LocalDevice.objects.using(laptop).filter(name=name).update(baselines={})
    yield name
    reset(laptop)


def restore_from_before_enrolment(server: str) -> None:
    for model in (IncomingTransaction, IncomingBatch, IncomingEpoch, EnrolmentCode, DeviceCredential, Device):
        model.objects.using(server).all().delete()


def test_a_device_enrolled_after_the_backup_is_known_again_and_sends_everything_again(
    laptop: str, server: str, name: str
) -> None:
    first = captured(laptop, name, [1])
    push(laptop, transport=Road())
    restore_from_before_enrolment(server)
    second = captured(laptop, name, [1], first_unit=2)
    push(laptop, transport=Road())
    arrived = IncomingTransaction.objects.using(server).order_by("id").values_list("tx_pk", flat=True)
    assert list(arrived) == [first[0].tx_pk, second[0].tx_pk]
    assert Device.objects.using(server).get().name == name


def test_with_nothing_new_it_sends_again_what_the_server_lost(laptop: str, server: str, name: str) -> None:
    captured(laptop, name, [1])
    push(laptop, transport=Road())
    restore_from_before_enrolment(server)
    push(laptop, transport=Road())
    assert IncomingBatch.objects.using(server).count() == 1


def test_a_server_with_another_key_is_not_believed(laptop: str, server: str, name: str, settings: Any) -> None:
    captured(laptop, name, [1])
    restore_from_before_enrolment(server)
    settings.SYNC_DATABASES = {**settings.SYNC_DATABASES, server: {"role": "server", "device": "test-impostor"}}
    with pytest.raises(errors.ServerRefused) as refused:
        push(laptop, transport=Road())
    assert refused.value.code == "token_unknown"
    assert not OutgoingBatch.objects.using(laptop).filter(receipts__has_key="held").exists()


def test_a_revoked_device_does_not_come_back_by_a_visit(laptop: str, server: str, name: str) -> None:
    captured(laptop, name, [1])
    revoke_device(server, name, reason="stolen")
    DeviceCredential.objects.using(server).update(token_hash="0" * 64)
    with pytest.raises(errors.ServerRefused):
        push(laptop, transport=Road())
    assert not IncomingBatch.objects.using(server).exists()


def test_a_server_s_own_batches_are_taken_where_its_key_is_pinned(server: str, settings: Any) -> None:
    site, central = server, {"server": "server_pg", "server_pg": "server"}[server]
    settings.SYNC_DATABASES = {
        site: {"role": "server", "device": "test-site"},
        central: {"role": "server", "device": "test-central"},
    }
    local(site, "test-site", role="server")
    captured(site, "test-site", [1])
    seal(site, "test-site")
    content = bytes(OutgoingBatch.objects.using(site).get().content)
    with pytest.raises(errors.IssuerUnknown):
        accept(central, content, "test-site")
    pin_server(central, "test-site", device_keys("test-site").public_hex)
    assert accept(central, content, "test-site").state == "held"
    assert Device.objects.using(central).get().role == "server"
