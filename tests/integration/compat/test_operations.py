"""Every operation of the seed's wire: what it asks, what it does, what it answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from audit.models import Device
from sync_api.compat.camcops.views import OPERATIONS
from sync_api.models import Upload
from sync_api.uploads.access import add_access_key
from sync_api.uploads.registry import IdNumber, Schedule, ScheduleItem, registry
from tests.camcops.models import Patient
from tests.integration.compat.wire import ADDRESS, Wire
from tests.integration.registering import group, member
from tests.integration.uploads.driving import mirror

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])
SEEDS_OPERATIONS = {
    *("check_device_registered", "register", "register_patient", "get_id_info", "get_extra_strings"),
    *("get_allowed_tables", "get_task_schedules", "check_upload_user_and_device", "validate_patients"),
    *("start_upload", "start_preservation", "upload_empty_tables", "upload_table", "upload_record"),
    *("which_keys_to_send", "delete_where_key_not", "end_upload", "upload_entire_database"),
}
CHANGED = "2026-04-22T15:36:08.381+01:00"


@pytest.fixture
def study(server: str) -> Any:
    return group(server, "upload_records", "register_devices", name="study")


@pytest.fixture
def wire(server: str, study: Any) -> Wire:
    """A nurse's registered tablet."""
    nurse = Wire(member(server, study).get_username(), "tablet-a")
    nurse.must("register", devicefriendlyname="The red one")
    return nurse


def row(key: int, **values: Any) -> dict[str, Any]:
    return {"id": key, "when_last_modified": CHANGED, **values}


def test_all_operations_of_the_seed_are_there() -> None:
    assert set(OPERATIONS) == SEEDS_OPERATIONS


def test_a_device_is_unregistered_until_it_is_registered(server: str, study: Any) -> None:
    registry.server(
        title="Study",
        upload_policy="sex AND idnum1",
        finalize_policy="idnum1",
        id_numbers=(IdNumber(1, "NHS number", "NHS"),),
    )
    nurse = Wire(member(server, study).get_username(), "tablet-a")
    reply = nurse.ask("check_device_registered")
    assert (reply["success"], reply["error_code"]) == ("0", "device_not_registered")
    assert reply["error"].startswith("Unregistered device")
    told = nurse.must("register", devicefriendlyname="The red one")
    wanted = {"databaseTitle": "Study", "idPolicyUpload": "sex AND idnum1", "idPolicyFinalize": "idnum1"}
    assert wanted.items() <= told.items()
    assert (told["idDescription1"], told["idShortDescription1"]) == ("NHS number", "NHS")
    assert nurse.must("check_device_registered")["success"] == "1"
    nurse.must("check_upload_user_and_device")
    assert nurse.must("get_id_info")["databaseTitle"] == "Study"
    assert Device.objects.using(server).get(name="tablet-a").friendly_name == "The red one"


def test_tables_and_strings_come_as_the_rows_of_a_select(wire: Wire) -> None:
    registry.string("phq9", "q1", "It's\nthe first")
    told = wire.must("get_allowed_tables")
    rows = [told[f"record{number}"] for number in range(int(told["nrecords"]))]
    assert (told["nfields"], told["fields"]) == ("2", "tablename,min_client_version")
    assert {"'patient','0.0.0'", "'every_kind','2.0'"} <= set(rows)
    strings = wire.must("get_extra_strings")
    assert (strings["nrecords"], strings["fields"]) == ("1", "task,name,language,value")
    assert strings["record0"] == r"'phq9','q1','','It''s\nthe first'"


def test_a_session_spares_the_password_and_ends_with_it(server: str, wire: Wire) -> None:
    first = dict(wire.session)
    wire.password = "not looked at"
    assert wire.must("check_upload_user_and_device")["session_id"] == first["session_id"]
    stranger = Wire("nobody", "tablet-a", password="x")
    stranger.session = first
    assert stranger.ask("check_upload_user_and_device")["error_code"] == "credentials_refused"
    stranger.session = {**first, "session_id": "another"}
    stranger.standing_fields["user"] = wire.standing_fields["user"]
    assert stranger.ask("check_upload_user_and_device")["error_code"] == "credentials_refused"


def test_a_wrong_password_is_refused_and_limited(server: str, study: Any, settings: Any) -> None:
    settings.SYNC_PASSWORD_TRIES_PER_MINUTE_MAX = 2
    name = member(server, study).get_username()
    for _ in range(2):
        assert Wire(name, "tablet-a", password="x").ask("register")["error_code"] == "credentials_refused"
    assert Wire(name, "tablet-a").ask("register")["error_code"] == "throttled"
    assert not Device.objects.using(server).exists()


def test_which_keys_are_wanted_depends_on_the_times(server: str, wire: Wire) -> None:
    wire.must("start_upload")
    assert wire.table("blobs", [row(1, theblob={"hex": "00"}), row(2, theblob={"hex": "01"})])["success"] == "1"
    wire.must("end_upload")
    wire.must("start_upload")
    asked = {"table": "blobs", "pkname": "id"}
    later = "'2026-04-23T15:36:08.381+01:00'"
    reply = wire.must("which_keys_to_send", **asked, pkvalues="1,3", datevalues=f"'{CHANGED}',{later}")
    assert reply["result"] == "3"
    assert wire.record("blobs", row(3, theblob={"hex": "02"}))["success"] == "1"
    wire.must("end_upload")
    current = mirror("blobs").objects.using(server).current()
    assert sorted(current.values_list("id", flat=True)) == [1, 3]
    nothing = wire.must("which_keys_to_send", **asked, pkvalues="", datevalues="", move_off_tablet_values="")
    assert nothing["result"] == ""


def test_the_end_asked_again_after_a_lost_answer_changes_nothing(server: str, wire: Wire) -> None:
    wire.must("start_upload")
    wire.must("start_preservation")
    wire.table("patient", [row(1)])
    wire.must("end_upload")
    wire.must("end_upload")
    assert Upload.objects.using(server).count() == 1
    assert mirror("patient").objects.using(server).count() == 1


def test_a_move_in_one_step_asked_again_is_done_once(server: str, wire: Wire) -> None:
    """Defect 17: a move repeated after a lost reply. Another session's token makes it no other request."""
    for _ in range(2):
        assert wire.whole({"patient": [row(1, surname="A")]}, preserving=True)["success"] == "1"
    assert mirror("patient").objects.using(server).count() == 1


def test_another_users_open_upload_is_rolled_back_over_the_wire(server: str, study: Any, wire: Wire) -> None:
    wire.must("start_upload")
    wire.table("patient", [row(1)])
    second = Wire(member(server, study).get_username(), "tablet-a")
    second.must("start_upload")
    second.must("end_upload")
    assert not mirror("patient").objects.using(server).exists()
    assert wire.ask("end_upload")["error_code"] == "upload_not_open"


def test_a_step_without_a_start_opens_an_upload(server: str, wire: Wire) -> None:
    """Source: the seed's get_batch_details."""
    assert wire.table("patient", [row(1)])["success"] == "1"
    wire.must("end_upload")
    assert mirror("patient").objects.using(server).current().count() == 1


def test_a_single_record_user_lives_on_the_wire_alone(server: str, study: Any) -> None:
    def schedules(alias: str, record: Any) -> list[Schedule]:
        return [Schedule("weekly", (ScheduleItem("progressnote", 0, 7),))]

    registry.root(Patient, identity=("surname", "forename"), schedules=schedules)
    who = {"surname": "O'Hara", "forename": "Ä"}
    key = add_access_key(server, model="camcops.patient", identity=who, group=study.name).key
    phone = Wire("", "phone-a", password="")
    told = phone.must("register_patient", patient_proquint=key, devicefriendlyname="phone")
    assert json.loads(told["patient_info"]) == [who]
    assert json.loads(told["task_schedules"])[0]["name"] == "weekly"
    own = Wire(told["user"], "phone-a", password=told["password"])
    own.must("check_upload_user_and_device")
    assert json.loads(own.must("get_task_schedules")["patient_info"]) == [who]
    assert json.loads(phone.must("get_task_schedules", patient_proquint=key)["patient_info"]) == [who]
    assert own.must("validate_patients", patient_info=json.dumps([who]))["success"] == "1"
    other = own.ask("validate_patients", patient_info=json.dumps([{"surname": "X", "forename": "Y"}]))
    assert other["error_code"] == "records_refused"
    unknown = own.ask("validate_patients", patient_info=json.dumps([{**who, "shoe": 45}]))
    assert "no such field" in unknown["error"]
    foreign = own.whole({"patient": [row(1, **who)], "ref_satis_gen": [row(1)]})
    assert foreign["error_code"] == "records_not_yours"
    assert own.whole({"patient": [row(1, **who)], "progressnote": [row(1, patient_id=1)]})["success"] == "1"
    assert phone.ask("register_patient", patient_proquint=key[:-1] + "x")["error_code"] == "code_mistyped"


def test_values_of_every_kind_arrive_as_they_were(server: str, wire: Wire) -> None:
    code = "8a0c2f5c-3c1d-4a0b-9e3a-0f1d2c3b4a59"
    literals = {
        "code": f"'{code}'", "number": "-7", "ratio": "1.5e-3", "dose": "12345.678", "done": "1", "day": "'2026-04-22'",
        "clock": "'12:30:00'", "moment": f"'{CHANGED}'", "took": "'PT90S'", "raw": "X'00ff'",
        "answers": "'{\"a\": [1, null]}'", "short": "'it''s'", "address": "'10.0.0.1'",
    }  # fmt: skip
    wire.must(
        "upload_entire_database",
        finalizing="0",
        pknameinfo=json.dumps({"every_kind": "code"}),
        dbdata=json.dumps({"every_kind": [literals]}),
    )
    held = mirror("every_kind").objects.using(server).get()
    assert str(held.code) == code
    assert (held.number, held.ratio, str(held.dose), held.done) == (-7, 0.0015, "12345.678", True)
    assert (str(held.day), str(held.clock), held.moment.isoformat()) == (
        "2026-04-22", "12:30:00", "2026-04-22T14:36:08.381000+00:00",
    )  # fmt: skip
    assert (held.took.total_seconds(), bytes(held.raw), held.answers) == (90, b"\x00\xff", {"a": [1, None]})
    assert (held.short, held.address) == ("it's", "10.0.0.1")


def test_only_forms_are_answered_and_only_when_posted(wire: Wire) -> None:
    client = Client()
    assert client.get(ADDRESS).status_code == 405
    response = client.post(ADDRESS, json.dumps({"operation": "x"}), content_type="application/json")
    assert response.status_code == 200
    assert response.content.decode().startswith("success:0\nerror:")
    assert client.post("/compat/camcops", b"", content_type="application/x-www-form-urlencoded").status_code == 200


def test_a_table_of_more_rows_than_django_takes_form_fields(server: str, wire: Wire) -> None:
    rows = [row(number, service="x" * 900) for number in range(1, 3_002)]
    assert wire.table("ref_satis_gen", rows)["success"] == "1"
    wire.must("end_upload")
    assert mirror("ref_satis_gen").objects.using(server).count() == 3_001
