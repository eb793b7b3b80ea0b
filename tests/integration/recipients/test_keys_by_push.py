"""Recipients' keys that changed come with the answers to a push, without a request of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sync_api import exceptions as errors
from sync_api.client import enrol, push
from sync_api.conf import alias_settings
from sync_api.enrolment.registration import add_device
from sync_api.models import LocalDevice
from sync_api.recipients.book import add_recipient, public_keys
from sync_api.recipients.own import own_key, rotate_own_key
from tests.integration.client.road import Road
from tests.integration.client.test_push import reset
from tests.integration.field import captured
from tests.integration.recipients.sealed import SERVER_NAMES

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg", "server"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
SERVER = "server"
HOME = SERVER_NAMES[SERVER]


@pytest.fixture(autouse=True)
def name(laptop: str, settings: Any, tmp_path: Path) -> Iterator[str]:
    settings.SYNC_SERVER_DATABASE = SERVER
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    settings.SYNC_BATCH_LINES = 1
    reset(laptop)
    name = alias_settings(laptop).device
    enrol(laptop, "http://localhost", add_device(SERVER, name).code, transport=Road())
    LocalDevice.objects.using(laptop).filter(name=name).update(baselines={})
    yield name
    reset(laptop)


def test_a_rotated_key_comes_with_the_next_push_without_a_request_of_its_own(
    laptop: str, name: str, settings: Any
) -> None:
    settings.SYNC_SEALED_MODELS = {"*": [HOME]}
    new = rotate_own_key(HOME)
    road = Road()
    push(laptop, transport=road)
    assert road.requests == ["GET /api/v1/devices/me"]
    assert public_keys(laptop, [HOME]) == {HOME: [new.public_key]}
    with_nothing_new = push(laptop, transport=Road())
    assert with_nothing_new.requests == 1


def test_a_key_that_was_missing_comes_in_time_for_the_same_push(laptop: str, name: str, settings: Any) -> None:
    settings.SYNC_SEALED_MODELS = {"*": ["inspector-1"]}
    captured(laptop, name, [1])
    with pytest.raises(errors.RecipientKeyMissing):
        push(laptop, transport=Road())
    add_recipient(SERVER, "inspector-1", own_key("inspector-1").public_key)
    road = Road()
    assert push(laptop, transport=road).batches == 1
    assert road.requests == ["GET /api/v1/devices/me", "POST /api/v1/batches"]


def test_a_list_in_an_answer_that_is_not_the_server_s_keeps_no_batch_waiting(
    laptop: str, name: str, settings: Any
) -> None:
    settings.SYNC_SEALED_MODELS = {"*": [HOME]}
    captured(laptop, name, [1])

    def forged(request: Any, ask: Any) -> Any:
        answer = ask(request)
        return httpx.Response(answer.status_code, json={**answer.json(), "recipients": {"signer": "mallory"}})

    captured(laptop, name, [1], first_unit=9)
    with pytest.raises(errors.RecipientsUnproven):
        push(laptop, transport=Road(forged, forged))
    assert push(laptop, transport=Road()).batches == 0
