"""Clients before 2.0.4: the key is the first field, and id numbers stand inside the patient's row."""

from __future__ import annotations

from typing import Any

import pytest

from sync_api.compat.camcops.quirks import QUIRKS, KeyPart, TablePart, upgraded_keys, upgraded_rows
from sync_api.uploads.registry import registry
from tests.camcops.models import Patient, PatientIdNum
from tests.integration.compat.wire import Wire
from tests.integration.registering import group, member
from tests.integration.uploads.driving import mirror

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])
CHANGED = "2026-04-22T15:36:08.381+01:00"


@pytest.fixture(autouse=True)
def _id_numbers_have_a_table(_serves: None) -> None:
    registry.id_numbers_in(
        PatientIdNum, owner=Patient, owner_field="patient", which_field="which_idnum", value_field="idnum_value"
    )


def old(server: str, version: str = "2.0.3") -> Wire:
    own = group(server, "upload_records", "register_devices")
    wire = Wire(member(server, own).get_username(), "tablet-a", version=version)
    wire.must("register")
    return wire


def patient(key: int, **numbers: Any) -> dict[str, Any]:
    described = {"iddesc1": "NHS number", "idshortdesc1": "NHS"}
    return {"id": key, "when_last_modified": CHANGED, "surname": f"P{key}", **described, **numbers}


def id_numbers(server: str) -> set[tuple[int, int, int]]:
    rows = mirror("patient_idnum").objects.using(server).current()
    return set(rows.values_list("patient", "which_idnum", "idnum_value"))


def test_id_numbers_inside_the_patients_row_become_rows_of_their_table(server: str) -> None:
    wire = old(server)
    rows = [patient(1, idnum1=111, idnum2=None, idnum8=888), patient(2, idnum1=211, idnum2=222, idnum8=None)]
    assert wire.table("patient", rows, key=None)["success"] == "1"
    wire.must("end_upload")
    assert id_numbers(server) == {(1, 1, 111), (1, 8, 888), (2, 1, 211), (2, 2, 222)}
    assert mirror("patient").objects.using(server).current().count() == 2
    before = mirror("patient_idnum").objects.using(server).count()
    wire.table("patient", rows, key=None)  # the same again: nothing new, as the keys are the same
    wire.must("end_upload")
    assert mirror("patient_idnum").objects.using(server).count() == before


def test_id_numbers_follow_their_patient_when_it_goes(server: str) -> None:
    wire = old(server)
    wire.table("patient", [patient(1, idnum1=111), patient(2, idnum1=211)], key=None)
    wire.must("end_upload")
    wire.must("delete_where_key_not", table="patient", pkname="id", pkvalues="2")
    wire.must("end_upload")
    assert id_numbers(server) == {(2, 1, 211)}
    wire.must("upload_empty_tables", tables="patient")
    wire.must("end_upload")
    assert id_numbers(server) == set()


def test_id_numbers_move_off_with_their_patient(server: str) -> None:
    wire = old(server)
    row = patient(1, idnum1=111) | {"_move_off_tablet": 1}
    assert wire.table("patient", [row], key=None)["success"] == "1"
    wire.must("end_upload")
    eras = mirror("patient_idnum").objects.using(server).values_list("mirror_era", flat=True)
    assert list(eras) == list(mirror("patient").objects.using(server).values_list("mirror_era", flat=True))
    assert "NOW" not in eras


def test_a_record_alone_brings_its_id_numbers_too(server: str) -> None:
    wire = old(server)
    row = patient(3, idnum1=311)
    values = f"3,'{CHANGED}','P3','NHS number','NHS',311"
    wire.must("upload_record", table="patient", fields=",".join(row), values=values)
    wire.must("end_upload")
    assert id_numbers(server) == {(3, 1, 311)}


@pytest.mark.parametrize("version", ["2.0.4", "2.4.0", ""])
def test_newer_clients_name_their_key_and_send_id_numbers_apart(server: str, version: str) -> None:
    wire = old(server, version)
    without_key = wire.table("patient", [{"id": 1, "surname": "A"}], key=None)
    assert (without_key["success"], without_key["error_code"]) == ("0", "wire_malformed")
    assert wire.table("patient", [patient(1, idnum1=111)])["error_code"] == "field_unknown"
    assert wire.table("patient", [{"id": 1, "surname": "A"}])["success"] == "1"


def test_clients_before_2_3_0_send_no_flags_to_move_off(server: str) -> None:
    wire = old(server, "2.2.8")
    reply = wire.must("which_keys_to_send", table="blobs", pkname="id", pkvalues="1", datevalues="NULL")
    assert reply["result"] == "1"


@pytest.mark.parametrize(("version", "fits"), [("1.5", True), ("2.0.3", True), ("2.0.4", False), ("x", False)])
def test_hooks_are_chosen_by_version(server: str, version: str, fits: bool) -> None:
    assert [quirk.fits(version) for quirk in QUIRKS] == [fits] * len(QUIRKS)
    (part, *_) = upgraded_rows(version, TablePart("blobs", None, ["id"], [[1]]))
    assert part.key_name == ("id" if fits else None)
    assert len(upgraded_keys(version, KeyPart("patient", [1]))) == (2 if fits else 1)
