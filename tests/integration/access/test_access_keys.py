"""Access keys: from a proquint to a user bound to one device and one record, who can send nothing else."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import check_password
from django.core.management import CommandError, call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import Device, Source
from sync_api.enrolment.codes import new_code
from sync_api.models import AccessKey, SingleRecordUser
from sync_api.uploads.access import add_access_key
from sync_api.uploads.registry import Schedule, ScheduleItem, registry
from tests.camcops.models import Blob, Patient
from tests.integration.registering import Rest, group, member
from tests.integration.uploads.driving import mirror

pytestmark = pytest.mark.django_db(databases=["default", "server", "server_pg"])
IDENTITY = {"surname": "Patient", "forename": "Dummy"}
CHANGED = "2026-04-22T15:36:08.381+01:00"


@pytest.fixture
def study(server: str) -> Any:
    def schedules(alias: str, record: Any) -> list[Schedule]:
        return [Schedule("weekly", (ScheduleItem("progressnote", 0, 7),), begins_on="2026-04-01")]

    registry.root(Patient, identity=tuple(IDENTITY), info=("surname", "forename", "sex", "dob"), schedules=schedules)
    registry.owned(Blob, table_field="tablename", key_field="tablepk")
    return group(server, "upload_records", "register_devices", name="study")


@pytest.fixture
def key(server: str, study: Any) -> str:
    return add_access_key(server, model="camcops.Patient", identity=IDENTITY, group=study.name, by="mona").key


def row(key: int, **values: Any) -> dict[str, Any]:
    return {"id": key, "when_last_modified": CHANGED, **values}


def own_data() -> dict[str, list[dict[str, Any]]]:
    return {
        "patient": [row(1, **IDENTITY, sex="F")],
        "patient_idnum": [row(1, patient_id=1, which_idnum=1, idnum_value=123)],
        "photosequence": [row(1, patient_id=1)],
        "photosequence_photos": [row(1, photosequence_id=1, seqnum=1, photo_blobid=1)],
        "blobs": [row(1, tablename="photosequence_photos", tablepk=1, fieldname="photo_blobid", theblob={"hex": "00"})],
    }


def registered(key: str, device: str = "phone-a") -> Rest:
    status, told = Rest().post(f"devices/{device}/access", key=key)
    assert status == 201, told
    return Rest(name=told["user"], password=told["password"])


def one_step(rest: Rest, tables: dict[str, Any], device: str = "phone-a", **more: Any) -> tuple[int, Any]:
    return rest.post("uploads/one-step", device=device, tables=tables, **more)


def versions(alias: str) -> int:
    return sum(mirror(table).objects.using(alias).count() for table in (*own_data(), "progressnote", "ref_satis_gen"))


def test_a_key_gives_the_records_info_and_a_user_who_can_upload_what_belongs_to_it(server: str, key: str) -> None:
    Patient.objects.using(server).create(id=77, **IDENTITY, sex="F", dob="1970-01-02")
    status, told = Rest().post("devices/phone-a/access", key=key.upper().replace("-", " "), friendly_name="My phone")
    assert (status, told["model"]) == (201, "camcops.patient")
    assert told["record"] == {**IDENTITY, "sex": "F", "dob": "1970-01-02"}
    assert told["schedules"][0]["items"] == [{"table": "progressnote", "due_from_days": 0, "due_by_days": 7}]
    device = Device.objects.using(server).get(name="phone-a")
    assert (device.group.name, device.kind, device.friendly_name) == ("study", "state", "My phone")  # type: ignore[union-attr]
    rest = Rest(name=told["user"], password=told["password"])
    status, done = one_step(rest, own_data())
    assert status in (200, 201), done
    assert versions(server) == 5
    status, done = one_step(rest, own_data(), preserving=True)
    assert status in (200, 201), done


def test_the_stepwise_way_is_open_to_a_single_record_user_too(server: str, key: str) -> None:
    rest = registered(key)
    upload = rest.post("uploads", device="phone-a")[1]["upload"]
    for table, rows in own_data().items():
        status, told = rest.post(f"uploads/{upload}/tables/{table}", rows=rows)
        assert status == 200, told
    status, told = rest.post(f"uploads/{upload}/tables/progressnote", rows=[row(1, patient_id=9)])
    assert status == 200, told
    status, told = rest.post(f"uploads/{upload}/commit")
    assert (status, told["code"]) == (403, "records_not_yours")
    assert versions(server) == 0
    rest.post(f"uploads/{upload}/tables/progressnote", rows=[row(1, patient_id=1, note="mine")])
    assert rest.post(f"uploads/{upload}/commit")[0] == 200  # the open upload stayed usable
    assert versions(server) == 6


OWN_PATIENT = [row(1, **IDENTITY)]
FOREIGN: dict[str, dict[str, list[dict[str, Any]]]] = {
    "another person": {"patient": [row(1, surname="Else", forename="Someone")]},
    "a second person": {"patient": [row(1, **IDENTITY), row(2, surname="Else", forename="Someone")]},
    "an anonymous task": {"ref_satis_gen": [row(1, rating=1)]},
    "a task of nobody": {"progressnote": [row(1, patient_id=5)]},
    "a task of another": {
        "patient": [row(1, **IDENTITY), row(2, surname="Else", forename="Someone")],
        "progressnote": [row(1, patient_id=2)],
    },
    "a photo without a sequence": {"patient": OWN_PATIENT, "photosequence_photos": [row(1, photosequence_id=3)]},
    "a blob of an unknown table": {"patient": OWN_PATIENT, "blobs": [row(1, tablename="x", tablepk=1)]},
    "a blob of a table outside": {"patient": OWN_PATIENT, "blobs": [row(1, tablename="ref_satis_gen", tablepk=1)]},
    "a blob that owns itself": {"patient": OWN_PATIENT, "blobs": [row(1, tablename="blobs", tablepk=1)]},
    "a blob without an owner": {"patient": OWN_PATIENT, "blobs": [row(1)]},
}


@pytest.mark.parametrize("what", FOREIGN)
def test_foreign_data_is_refused_inside_the_commit_and_nothing_is_written(server: str, key: str, what: str) -> None:
    rest = registered(key)
    status, told = one_step(rest, FOREIGN[what])
    assert (status, told["code"]) == (403, "records_not_yours"), told
    assert told["refusals"]
    assert versions(server) == 0
    assert not Source.objects.using(server).exists()
    status, told = rest.post("devices/phone-a/validation", tables=FOREIGN[what])
    assert (status, told["valid"]) == (200, False)  # the question gives the same answer
    assert one_step(rest, own_data())[0] in (200, 201)


def test_the_question_agrees_about_own_data(server: str, key: str) -> None:
    rest = registered(key)
    status, told = rest.post("devices/phone-a/validation", tables=own_data())
    assert (status, told) == (200, {"valid": True, "refusals": []})
    assert versions(server) == 0


def test_a_record_cannot_be_made_anothers_nor_anothers_ones_own(server: str, key: str) -> None:
    rest = registered(key)
    one_step(rest, own_data())
    changed = own_data() | {"patient": [row(1, surname="Else", forename="Someone")]}
    assert one_step(rest, changed)[1]["code"] == "records_not_yours"
    device = Device.objects.using(server).get(name="phone-a")
    nurse = Rest(member(server, device.group))
    both = own_data() | {"patient": [*own_data()["patient"], row(2, surname="Else", forename="Someone")]}
    assert one_step(nurse, both)[0] in (200, 201)
    assert one_step(rest, own_data())[1]["code"] == "records_not_yours"  # it would delete the other person
    taken = own_data() | {"patient": [*own_data()["patient"], row(2, **IDENTITY)]}
    assert one_step(rest, taken)[1]["code"] == "records_not_yours"
    assert one_step(rest, both)[0] in (200, 201)  # nothing of the other is touched


def test_the_user_is_bound_to_the_device(server: str, study: Any, key: str) -> None:
    rest = registered(key)
    registered(key, "phone-b")
    Device.objects.using(server).create(name="tablet-a", kind="state", group=study)
    for other in ("phone-b", "tablet-a"):
        assert one_step(rest, own_data(), other)[1]["code"] == "permission_denied"
        assert rest.get(f"devices/{other}")[1]["code"] == "permission_denied"
    assert rest.post("devices/", device="phone-c")[1]["code"] == "permission_denied"
    assert rest.get("devices/phone-a/schedules")[1]["record"] == IDENTITY
    assert SingleRecordUser.objects.using(server).count() == 2


def test_a_key_takes_no_ones_device_over(server: str, study: Any, key: str) -> None:
    Device.objects.using(server).create(name="tablet-a", kind="state", group=study)
    status, told = Rest().post("devices/tablet-a/access", key=key)
    assert (status, told["code"]) == (409, "device_name_taken")
    other = group(server)
    foreign = add_access_key(server, model="camcops.patient", identity=IDENTITY, group=other.name).key
    registered(key)
    assert Rest().post("devices/phone-a/access", key=foreign)[1]["code"] == "device_name_taken"


def test_registering_again_after_a_lost_answer_gives_the_same_user_a_new_password(server: str, key: str) -> None:
    first = registered(key)
    assert first.get("devices/phone-a")[0] == 200
    second = registered(key)
    assert first.get("devices/phone-a")[0] == 401
    assert second.get("devices/phone-a")[0] == 200
    assert SingleRecordUser.objects.using(server).count() == 1


def test_an_ended_key_ends_its_users_and_an_expired_one_registers_no_more(server: str, key: str) -> None:
    rest = registered(key)
    AccessKey.objects.using(server).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert Rest().post("devices/phone-b/access", key=key)[1]["code"] == "access_key_refused"
    assert one_step(rest, own_data())[0] in (200, 201)
    AccessKey.objects.using(server).update(ended_at=timezone.now())
    assert one_step(rest, own_data())[1]["code"] == "permission_denied"


def test_guessing_is_limited_and_typing_errors_are_not_guesses(server: str, key: str, settings: Any) -> None:
    settings.SYNC_ACCESS_KEY_TRIES_PER_MINUTE_MAX = 3
    mistyped = key[:-1] + ("b" if key[-1] != "b" else "d")
    for _ in range(5):
        assert Rest().post("devices/phone-a/access", key=mistyped)[1]["code"] == "code_mistyped"
    for _ in range(3):
        assert Rest().post("devices/phone-a/access", key=new_code())[1]["code"] == "access_key_refused"
    assert Rest().post("devices/phone-a/access", key=key)[0] == 429
    assert not Device.objects.using(server).exists()


def test_neither_key_nor_password_is_kept(server: str, key: str) -> None:
    rest = registered(key)
    password = b64decode(rest.headers["Authorization"].removeprefix("Basic ")).decode().partition(":")[2]
    held = json.dumps(list(AccessKey.objects.using(server).values()), default=str)
    user: Any = SingleRecordUser.objects.using(server).select_related("user").get().user
    assert len(password) > 30
    assert key not in held
    assert password not in user.password
    assert check_password(password, user.password)


def test_the_command_makes_a_key_and_says_what_is_wrong(server: str, study: Any, capsys: Any) -> None:
    call_command(
        "add_access_key",
        "camcops.patient",
        "surname=Patient",
        "forename=Dummy",
        group="study",
        days=3,
        database=server,
        json=True,
    )
    told = json.loads(capsys.readouterr().out)
    assert told["identity"] == IDENTITY
    registered(told["key"])
    call_command("add_access_key", "camcops.patient", "surname=P", "forename=D", group="study", database=server)
    assert capsys.readouterr().out.strip().count("-") == 4
    for values, wanted in ((["surname=P"], "known by exactly"), (["surname"], "FIELD=VALUE")):
        with pytest.raises(CommandError, match=wanted):
            call_command("add_access_key", "camcops.patient", *values, group="study", database=server)
    with pytest.raises(CommandError, match=r"registry\.root"):
        call_command("add_access_key", "camcops.blob", "id=1", group="study", database=server)
    with pytest.raises(CommandError, match="which group"):
        call_command("add_access_key", "camcops.patient", "surname=P", "forename=D", group="x", database=server)


def test_the_number_of_statements_does_not_depend_on_the_rows(server: str, key: str) -> None:
    rest = registered(key)
    counts = []
    for size in (2, 3, 60):  # the first also looks at the password
        notes = [row(number, patient_id=1, note=str(number) * size) for number in range(1, size)]
        with CaptureQueriesContext(connections[server]) as asked:
            assert one_step(rest, own_data() | {"progressnote": notes}, preserving=True)[0] in (200, 201)
        counts.append(len(asked))
    assert counts[1] == counts[2]
