"""Driver and researcher before leaving: what the laptop signed for is on the relay, or it is named with what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command

from audit.models import Device
from sync_api import exceptions as errors
from sync_api.enrolment.registration import issue_certificate
from sync_api.models import CarriedBatch, LocalDevice, OutgoingBatch
from sync_api.recipients.book import add_recipient
from sync_api.recipients.own import own_key
from sync_api.reconciliation.manifest import MANIFEST
from sync_api.wire.certificates import signed
from sync_api.wire.keys import device_keys
from syncserver.study.models import Symptom
from tests.integration.reconciliation.day import HOME, RELAY, RELAYS, FieldDay

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
TODAY = datetime.now(UTC).date


@pytest.fixture
def day(laptop: str, settings: Any, tmp_path: Path) -> Iterator[FieldDay]:
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    field_day = FieldDay(laptop, RELAYS[laptop], settings)
    field_day.begin()
    yield field_day
    field_day.end()


def by_name(comparison: Any) -> dict[str, str]:
    return {line.name: line.status for line in comparison.lines}


def note(comparison: Any, name: str) -> str:
    return next(line.note for line in comparison.lines if line.name == name)


def test_everything_carried_is_present_and_they_can_leave(day: FieldDay) -> None:
    visit = day.visit()
    for number in range(1, 6):
        day.specimen(number, visit)
    fever = day.symptom("FEVER")
    fever.name = "fever, high"
    fever.save(using=day.laptop)
    day.symptom("GONE").delete(using=day.laptop)
    day.seal()
    day.carry()
    comparison = day.compare(day.manifest())
    assert len(day.batches()) > 1
    assert set(by_name(comparison).values()) == {"present"}
    assert set(by_name(comparison)) == {"FEVER", "GONE", *(f"REQ-{number:06d}" for number in range(1, 6))}
    assert {line.name: line.action for line in comparison.lines}["GONE"] == "deleted"
    assert comparison.counts["study.specimen"]["present"] == 5
    assert comparison.is_whole
    assert comparison.next_steps == ["Everything in the manifest is here. You can leave."]


def test_a_batch_that_was_not_carried_is_missing_by_number(day: FieldDay) -> None:
    for number in range(14):
        day.symptom(f"S{number:02d}")
    day.seal()
    manifest = day.manifest()
    day.carry(1, 3)
    comparison = day.compare(manifest)
    assert comparison.counts["study.symptom"] == {"missing": 6, "differing": 0, "extra": 0, "present": 8}
    assert {line.note for line in comparison.lines if line.status == "missing"} == {
        "Batch 2 is not here: pull again, or ask who else carried it."
    }
    assert any("Batches 2 are not here" in step for step in comparison.next_steps)
    assert not comparison.is_whole
    day.carry(2)
    assert day.compare(manifest).is_whole


def test_a_last_batch_that_is_not_here_is_told_as_behind(day: FieldDay) -> None:
    for number in range(8):
        day.symptom(f"S{number:02d}")
    day.seal()
    day.carry(1)
    comparison = day.compare(day.manifest())
    assert (comparison.chain, comparison.number_here, comparison.number_there) == ("behind", 1, 2)
    assert comparison.total("missing") == 2


def test_what_is_not_sealed_yet_is_missing_and_told_so(day: FieldDay) -> None:
    day.symptom("OLD")
    day.seal()
    day.carry()
    day.symptom("NEW")
    comparison = day.compare(day.manifest())
    assert by_name(comparison) == {"OLD": "present", "NEW": "missing"}
    assert "not sealed yet" in note(comparison, "NEW")
    assert comparison.unsealed_there == 1
    assert not comparison.is_whole


def test_an_older_or_a_newer_state_is_differing(day: FieldDay) -> None:
    first, second = day.symptom("A"), day.symptom("B")
    day.seal()
    manifest_before = day.manifest()
    for symptom in (first, second):
        symptom.name = "seen again"
        symptom.save(using=day.laptop)
    day.seal()
    manifest_after = day.manifest()
    day.carry(1)
    older = day.compare(manifest_after)
    assert set(by_name(older).values()) == {"differing"}
    assert note(older, "A") == "An older state is here: pull again."
    day.carry()
    newer = day.compare(manifest_before)
    assert "Make a new manifest" in note(newer, "A")
    assert day.compare(manifest_after).is_whole


def test_what_came_after_the_manifest_is_listed_apart(day: FieldDay) -> None:
    day.symptom("A")
    day.seal()
    manifest = day.manifest()
    day.symptom("B")
    day.seal()
    day.carry()
    comparison = day.compare(manifest)
    assert by_name(comparison) == {"A": "present", "B": "extra"}
    assert comparison.chain == "ahead"
    assert comparison.is_whole


def test_another_version_of_the_last_batch_is_an_alarm(day: FieldDay) -> None:
    day.symptom("A")
    day.seal()
    day.carry()
    copied = LocalDevice.objects.using(day.laptop).filter(name=day.name)
    copied.update(head_number=0, head_hash="", sequence=0)
    OutgoingBatch.objects.using(day.laptop).all().delete()
    day.symptom("B")
    day.seal()
    comparison = day.compare(day.manifest())
    assert comparison.chain == "differs"
    assert "copied or set back" in comparison.next_steps[0]
    assert not comparison.is_whole


def test_only_the_day_s_records_are_compared(day: FieldDay) -> None:
    day.symptom("A")
    day.seal()
    day.carry()
    tomorrow = TODAY() + timedelta(days=1)
    assert json.loads(day.manifest(tomorrow))["records"] == []
    assert day.compare(day.manifest(tomorrow)).lines == []
    assert by_name(day.compare()) == {"A": "present"}
    assert day.compare(day=tomorrow).lines == []


def test_a_manifest_holds_hashes_and_natural_keys_and_no_other_value(day: FieldDay) -> None:
    day.symptom("A", name="a field value of someone")
    manifest = day.manifest()
    assert b"a field value" not in manifest
    assert [record["key"] for record in json.loads(manifest)["records"]] == [["A"]]


def test_a_changed_manifest_or_one_of_a_stranger_is_refused(day: FieldDay) -> None:
    day.symptom("A")
    facts = json.loads(day.manifest())
    changed = [
        {**facts, "unsealed": 0},
        {**facts, "records": []},
        {**facts, "day": "2020-01-01"},
        {**facts, "device": "laptop-99"},
        {**facts, "more": 1},
        {**facts, "records": [{**facts["records"][0], "number": True}]},
        {name: value for name, value in facts.items() if name != "hash"},
    ]
    for one in changed:
        with pytest.raises(errors.ManifestInvalid):
            day.read(orjson.dumps(one))
    for content in (b"", b"[]", b"{", b"\xff", day.manifest()[:-9]):
        with pytest.raises(errors.ManifestInvalid):
            day.read(content)
    keys = device_keys("laptop-99")
    unsigned = {name: value for name, value in facts.items() if name != "signature"}
    own = {**facts["certificate"], "public_key": keys.public_hex}
    with pytest.raises(errors.CertificateInvalid):
        day.read(orjson.dumps(signed(MANIFEST, {**unsigned, "certificate": own}, keys)))
    day.as_home()
    other = issue_certificate(day.relay, Device(name="laptop-99", role="client"), keys.public_hex)
    day.in_the_field()
    with pytest.raises(errors.ManifestInvalid, match="another device"):
        day.read(orjson.dumps(signed(MANIFEST, {**unsigned, "certificate": other}, keys)))


def test_a_manifest_over_its_limits_is_refused(day: FieldDay, settings: Any) -> None:
    day.symptom("A")
    day.symptom("B")
    manifest = day.manifest()
    settings.SYNC_RECONCILE_RECORDS_MAX = 1
    with pytest.raises(errors.ManifestTooLarge):
        day.manifest()
    settings.SYNC_MANIFEST_BYTES_MAX = len(manifest) - 1
    with pytest.raises(errors.ManifestInvalid, match="larger"):
        day.read(manifest)


def test_a_manifest_of_another_device_or_day_is_not_compared(day: FieldDay) -> None:
    manifest = day.manifest()
    with pytest.raises(errors.ManifestOfAnother):
        day.compare(manifest, day=date(2020, 1, 1))
    settings = day.settings.SYNC_DATABASES
    assert settings
    with pytest.raises(errors.ManifestOfAnother):
        from sync_api.reconciliation import compare

        compare(day.relay, "laptop-77", manifest=day.read(manifest))


@pytest.mark.parametrize("label", ["study.nothing", "auth.user", "", 3])
def test_models_that_cannot_be_reconciled_are_named(day: FieldDay, settings: Any, label: Any) -> None:
    settings.SYNC_RECONCILE_MODELS = [label]
    with pytest.raises(errors.ReconcileModelsInvalid, match="SYNC_RECONCILE_MODELS"):
        day.manifest()


def test_sealed_models_are_compared_by_who_may_read_them_and_told_to_who_may_not(day: FieldDay, settings: Any) -> None:
    central = own_key(HOME)
    add_recipient(day.laptop, HOME, central.public_key)
    settings.SYNC_SEALED_MODELS = {"study.symptom": [HOME]}
    day.symptom("SECRET", name="a field value of someone")
    day.seal()
    day.carry()
    manifest = day.manifest()
    assert b"SECRET" not in manifest
    comparison = day.compare(manifest)
    assert comparison.lines == []
    assert comparison.unreadable == {"study.symptom": 1}
    assert "sealed to others" in " ".join(comparison.next_steps)
    relay = own_key(RELAY)
    add_recipient(day.laptop, RELAY, relay.public_key)
    settings.SYNC_SEALED_MODELS = {"study.symptom": [HOME, RELAY]}
    day.symptom("SHARED")
    day.seal()
    day.carry()
    shared = day.compare(day.manifest())
    assert by_name(shared)["SHARED"] == "present"


def test_the_commands_end_with_a_status_that_tells(day: FieldDay, tmp_path: Path) -> None:
    day.symptom("A")
    day.symptom("B")
    day.seal()
    path = tmp_path / "manifest.json"
    out = StringIO()
    call_command("reconcile_manifest", output=str(path), database=day.laptop, stdout=out)
    assert out.getvalue().startswith(f"2 records of {TODAY()} on {day.name}")
    facts = {"manifest": str(path), "database": day.relay}
    with pytest.raises(CommandError, match="Not everything"):
        call_command("reconcile", day.name, **facts, stdout=(said := StringIO()))
    assert "study.symptom: 2 missing." in said.getvalue()
    day.carry()
    call_command("reconcile", day.name, **facts, stdout=(said := StringIO()))
    assert "study.symptom: 2 present." in said.getvalue()
    call_command("reconcile", day.name, **facts, json=True, stdout=(said := StringIO()))
    assert json.loads(said.getvalue())["is_whole"] is True
    call_command("reconcile", day.name, database=day.relay, stdout=(said := StringIO()))
    assert "Fetch the laptop's manifest" in said.getvalue()
    with pytest.raises(CommandError, match="could not be read"):
        call_command("reconcile", day.name, manifest=str(tmp_path / "none"), database=day.relay)
    with pytest.raises(CommandError, match="is not a day"):
        call_command("reconcile", day.name, day="yesterday", database=day.relay)


def test_many_rows_changed_often_are_told_once_with_their_last_state(day: FieldDay) -> None:
    symptoms = [day.symptom(f"S{number:02d}") for number in range(9)]
    for round_number in range(3):
        Symptom.objects.using(day.laptop).update(name=f"round {round_number}")
    symptoms[0].delete(using=day.laptop)
    day.seal()
    day.carry()
    comparison = day.compare(day.manifest())
    assert len(comparison.lines) == 9
    assert comparison.is_whole
    assert CarriedBatch.objects.using(day.relay).count() == len(day.batches())
