"""The inspector on the relay: its own mirror of what it carries and may read; nothing else changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from sync_api import exceptions as errors
from sync_api.client.reconcile import fetch_manifest
from sync_api.models import CarriedBatch, IncomingBatch, ParkedUnit
from sync_api.recipients.book import add_recipient
from sync_api.recipients.own import own_key
from sync_api.reconciliation import compare, inspect
from sync_api.relay.custody import custody
from syncserver.study.models import Symptom
from tests.integration.client.road import Road
from tests.integration.reconciliation.day import HOME, RELAYS, FieldDay

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]


@pytest.fixture
def day(laptop: str, settings: Any, tmp_path: Path) -> Iterator[FieldDay]:
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    settings.SYNC_INSPECT = True
    field_day = FieldDay(laptop, RELAYS[laptop], settings)
    field_day.begin()
    yield field_day
    field_day.end()


def mirrored(day: FieldDay) -> set[str]:
    current = Symptom.mirror.using(day.relay).current().for_device(day.name)  # type: ignore[attr-defined]
    return set(current.values_list("code", flat=True))


def carried(day: FieldDay) -> list[Any]:
    return list(CarriedBatch.objects.using(day.relay).order_by("number").values_list("number", "state", "content"))


def test_what_is_carried_is_in_the_relay_s_mirror_and_stays_to_be_handed_on(day: FieldDay) -> None:
    for number in range(8):
        day.symptom(f"S{number}")
    day.seal()
    day.carry()
    before = carried(day)
    report = inspect(day.relay)
    assert (report.taken, report.early, report.applied, report.refused) == (2, 0, 8, [])
    assert mirrored(day) == {f"S{number}" for number in range(8)}
    assert carried(day) == before
    again = inspect(day.relay)
    assert (again.taken, again.applied) == (0, 0)


def test_an_inspected_batch_has_not_arrived_at_a_server(day: FieldDay) -> None:
    day.symptom("A")
    day.seal()
    day.carry()
    inspect(day.relay)
    assert {entry.arrived for entry in custody(day.relay)} == {False}


def test_batches_behind_a_gap_wait_for_the_mirror_and_are_compared_all_the_same(day: FieldDay) -> None:
    for number in range(14):
        day.symptom(f"S{number:02d}")
    day.seal()
    day.carry(3)
    report = inspect(day.relay)
    assert (report.taken, report.early) == (0, 1)
    assert mirrored(day) == set()
    assert day.compare(day.manifest()).total("present") == 2
    day.carry(1, 2)
    assert inspect(day.relay).applied == 14
    assert len(mirrored(day)) == 14


def test_what_is_sealed_to_others_is_not_in_the_mirror(day: FieldDay, settings: Any) -> None:
    add_recipient(day.laptop, HOME, own_key(HOME).public_key)
    settings.SYNC_SEALED_MODELS = {"study.symptom": [HOME]}
    day.symptom("SECRET")
    day.seal()
    day.carry()
    inspect(day.relay)
    assert mirrored(day) == set()
    assert ParkedUnit.objects.using(day.relay).count() == 1


def test_one_device_s_trouble_is_told_and_leaves_the_others(day: FieldDay) -> None:
    day.symptom("A")
    day.seal()
    day.carry()
    batch = CarriedBatch.objects.using(day.relay).get()
    whole = bytes(batch.content)
    CarriedBatch.objects.using(day.relay).create(
        device="laptop-0", epoch="cd" * 16, number=1, hash="00" * 32, lines=1, size=9, content=b"SYB1 damaged",
        received_from="laptop-0", received_via="bundle",
    )  # fmt: skip
    with pytest.raises(CommandError, match="laptop-0"):
        call_command("inspect_carried", database=day.relay, stdout=StringIO())
    assert mirrored(day) == {"A"}
    assert bytes(CarriedBatch.objects.using(day.relay).get(pk=batch.pk).content) == whole


def test_without_the_setting_or_on_another_role_nothing_is_inspected(day: FieldDay, settings: Any) -> None:
    day.symptom("A")
    day.seal()
    day.carry()
    with pytest.raises(errors.NotInspecting):
        inspect(day.laptop)
    settings.SYNC_INSPECT = False
    with pytest.raises(errors.NotInspecting):
        inspect(day.relay)
    call_command("reconcile", day.name, database=day.relay, stdout=StringIO())
    assert not IncomingBatch.objects.using(day.relay).exists()


def test_the_reconcile_command_inspects_first_where_the_setting_is_on(day: FieldDay) -> None:
    day.symptom("A")
    day.seal()
    day.carry()
    call_command("reconcile", day.name, database=day.relay, stdout=StringIO())
    assert mirrored(day) == {"A"}


def test_a_visiting_relay_fetches_the_manifest_over_rest(day: FieldDay) -> None:
    day.symptom("A")
    day.seal()
    day.carry()
    manifest = fetch_manifest(day.relay, "http://127.0.0.1:9", transport=Road())
    comparison = compare(day.relay, day.name, manifest=manifest)
    assert comparison.is_whole
    assert [line.name for line in comparison.lines] == ["A"]


def test_a_device_without_a_pass_or_of_another_role_gets_no_manifest(day: FieldDay) -> None:
    from django.test import Client

    web = Client()
    assert json.loads(web.get("/api/v1/manifest").content)["code"] == "not_authenticated"
    from sync_api.models import LocalDevice
    from tests.integration.field import enrolled

    other = enrolled(day.laptop, "laptop-8")
    refused = web.get("/api/v1/manifest", headers=other.headers)
    assert (refused.status_code, json.loads(refused.content)["code"]) == (403, "visitor_refused")
    relay = enrolled(day.laptop, "relay-8", role="relay")
    wrong = web.get("/api/v1/manifest?day=yesterday", headers=relay.headers)
    assert (wrong.status_code, json.loads(wrong.content)["code"]) == (400, "day_invalid")
    assert web.get("/api/v1/manifest", headers=relay.headers).status_code == 200
    assert LocalDevice.objects.using(day.laptop).filter(name=day.name).exists()
