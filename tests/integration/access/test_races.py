"""Two at once for one name: one gets it, the other is told so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connections

from audit.models import Device
from sync_api.exceptions import DeviceOfAnotherGroup, SyncError
from sync_api.models import AccessKey, SingleRecordUser
from sync_api.uploads.access import add_access_key, register_record
from sync_api.uploads.devices import register_device
from sync_api.uploads.registry import registry
from tests.camcops.models import Patient
from tests.integration.registering import group, member

pytestmark = [
    pytest.mark.django_db(databases=["server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
AT_ONCE = 4


@pytest.fixture(autouse=True)
def _leaves_nothing(server: str, _serves: None) -> Iterator[None]:
    yield
    for model in (SingleRecordUser, AccessKey, Device, get_user_model(), Group):
        model._default_manager.using(server).all().delete()  # type: ignore[attr-defined]


def at_once(alias: str, acts: list[Callable[[], Any]]) -> list[Any]:
    """What each of them gave, or the SyncError it raised. All begin together, each with a connection of its own."""
    together = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        try:
            together.wait(10)
            return act()
        except SyncError as error:
            return error
        finally:
            connections[alias].close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def test_one_group_gets_a_name_that_two_ask_for_at_once(server: str) -> None:
    users = [member(server, group(server, "register_devices")) for _ in range(AT_ONCE)]
    given = at_once(
        server, [lambda user=user: register_device(server, user=user, name="tablet-a") for user in users]  # type: ignore[misc]
    )  # fmt: skip
    device = Device.objects.using(server).get(name="tablet-a")
    assert [one == device for one in given].count(True) == 1
    assert [type(one) for one in given].count(DeviceOfAnotherGroup) == AT_ONCE - 1


def test_one_user_is_made_for_a_key_that_is_sent_several_times_at_once(server: str) -> None:
    registry.root(Patient, identity=("surname",))
    own = group(server)
    key = add_access_key(server, model="camcops.patient", identity={"surname": "A"}, group=own.name).key
    given = at_once(
        server, [lambda: register_record(server, key=key, device="phone-a", address="here") for _ in range(AT_ONCE)]
    )
    assert len({one.username for one in given}) == 1
    user: Any = SingleRecordUser.objects.using(server).select_related("user").get().user
    assert [user.check_password(one.password) for one in given].count(True) == 1  # the last one's
