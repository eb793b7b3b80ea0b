"""A device delivers a log or states, one of the two within an era."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.models import Device
from sync_api.exceptions import DeviceUploadsStates
from sync_api.inbox import accept
from sync_api.models import IncomingBatch
from tests.integration.field import Chain, enrolled
from tests.integration.uploads.driving import Uploads, new_device

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])


def kind(server: str, name: str, wanted: str) -> Any:
    output = StringIO()
    call_command("device_kind", name, wanted, database=server, json=True, stdout=output)
    return json.loads(output.getvalue())


def test_a_device_with_nothing_in_the_present_era_changes_its_kind(server: str) -> None:
    tablet = Uploads(server)
    tablet.device = new_device(server, kind="log")
    assert kind(server, tablet.device.name, "state")["changed"] is True
    assert kind(server, tablet.device.name, "state")["changed"] is False
    assert tablet.whole({"patient": [{"id": 1}]}).body["tables"] == {"patient": {"added": 1}}


def test_it_keeps_its_kind_while_records_are_not_preserved_or_an_upload_is_open(server: str) -> None:
    tablet = Uploads(server)
    tablet.whole({"patient": [{"id": 1}]})
    with pytest.raises(CommandError, match="not preserved"):
        kind(server, tablet.device.name, "log")
    tablet.whole({"patient": [{"id": 1}]}, preserving=True)
    upload = tablet.start()
    with pytest.raises(CommandError, match="open"):
        kind(server, tablet.device.name, "log")
    tablet.do("roll_back", upload)
    assert kind(server, tablet.device.name, "log")["changed"] is True
    assert Device.objects.using(server).get(pk=tablet.device.pk).kind == "log"


def test_an_unknown_device_is_named(server: str) -> None:
    with pytest.raises(CommandError, match="nobody"):
        kind(server, "nobody", "log")


def test_no_batch_is_taken_from_a_device_that_uploads_its_tables(server: str) -> None:
    laptop = enrolled(server, "test-laptop")
    Device.objects.using(server).filter(name="test-laptop").update(kind="state")
    with pytest.raises(DeviceUploadsStates):
        accept(server, Chain.fresh(laptop).batch(), handed_over_by="test-laptop")
    assert not IncomingBatch.objects.using(server).exists()
