"""The twenty defects that were reproduced in CamCOPS, each as a test. (14, another group's device: test_devices.)"""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction

from audit.index import check_index
from audit.mirror.columns import NOW
from audit.models import IndexEntry, Source, TableChanges
from sync_api.exceptions import ClientKeyTwice, FieldReserved, SyncError, UploadNotOpen, UploadUnknown, ValueWrong
from sync_api.models import Upload, UploadStep
from sync_api.uploads import operations
from tests.integration.uploads.driving import OneStep, Stepwise, Uploads, new_user

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])

T = "2026-04-22T14:35:07.381+01:00"
T2 = "2026-04-22T15:00:00+01:00"


@pytest.fixture
def tablet(server: str) -> Uploads:
    return Uploads(server)


def patient(key: int = 1, surname: str = "Osei", when: str | None = T, **more: Any) -> dict[str, Any]:
    return {"id": key, "surname": surname, "when_last_modified": when, **more}


def note(key: int = 1, text: str = "fever", when: str | None = T, **more: Any) -> dict[str, Any]:
    return {"id": key, "patient_id": 1, "note": text, "when_last_modified": when, **more}


def current(tablet: Uploads, table: str, era: str | None = NOW) -> list[Any]:
    rows = tablet.versions(table).current()
    return list(rows if era is None else rows.filter(mirror_era=era))


def test_01_a_bad_row_in_a_later_table_leaves_no_table_committed(tablet: Uploads) -> None:
    with pytest.raises(ValueWrong):
        tablet.whole({"patient": [patient()], "progressnote": [note() | {"patient_id": "one"}]})
    assert not tablet.versions("patient").exists()
    assert not Source.objects.using(tablet.alias).filter(device=tablet.device).exists()
    assert Upload.objects.using(tablet.alias).get(device=tablet.device).code == "value_wrong"


def test_02_an_error_in_mid_table_leaves_nothing_that_a_later_commit_makes_current(tablet: Uploads) -> None:
    upload = tablet.start()
    with pytest.raises(ValueWrong):
        tablet.do("upload_table", upload, table="patient", rows=[patient(1), patient(2) | {"dob": "yesterday"}])
    tablet.do("roll_back", upload)
    upload = tablet.start()
    tablet.do("upload_table", upload, table="patient", rows=[patient(2)])
    tablet.do("end_upload", upload)
    assert [row.id for row in current(tablet, "patient")] == [2]


def test_03_a_repeated_table_and_record_are_one(tablet: Uploads) -> None:
    upload = tablet.start()
    for _ in range(2):
        tablet.do("upload_table", upload, table="patient", rows=[patient()])
        tablet.do("upload_record", upload, table="progressnote", row=note())
    counts = tablet.do("end_upload", upload)["tables"]
    assert counts == {"patient": {"added": 1}, "progressnote": {"added": 1}}
    assert tablet.versions("patient").count() == tablet.versions("progressnote").count() == 1


def test_04_after_an_aborted_move_a_plain_copy_preserves_nothing(tablet: Uploads) -> None:
    upload = tablet.start()
    tablet.do("start_preservation", upload)
    tablet.do("upload_table", upload, table="patient", rows=[patient(_move_off_tablet=1)])
    assert OneStep.upload(tablet, {"patient": [patient()]}, preserving=False) == {"patient": {"added": 1}}
    assert current(tablet, "patient")


def test_05_a_record_moved_off_by_its_key_alone_is_preserved_and_not_deleted_later(tablet: Uploads) -> None:
    tablet.whole({"blobs": [{"id": 1, "when_last_modified": T, "theblob": "AAEC"}]})
    upload = tablet.start()
    asked = tablet.do("which_keys_to_send", upload, table="blobs", keys=[1], modified=[T], moved=[1])
    assert asked["keys"] == []
    assert tablet.do("end_upload", upload)["tables"] == {"blobs": {"preserved": 1}}
    assert tablet.whole({"blobs": []}).body["tables"] == {}
    (row,) = current(tablet, "blobs", era=None)
    assert row.mirror_era != NOW


@pytest.mark.parametrize("moved", [None, [], "", [None], [0]])
def test_06_an_empty_list_of_moves_and_a_table_without_records_are_taken(tablet: Uploads, moved: Any) -> None:
    upload = tablet.start()
    tablet.do("which_keys_to_send", upload, table="blobs", keys=[1], modified=[T], moved=moved)
    tablet.do("upload_record", upload, table="blobs", row={"id": 1, "when_last_modified": T, "_move_off_tablet": None})
    tablet.do("upload_table", upload, table="patient", rows=[])
    tablet.do("which_keys_to_send", upload, table="photosequence", keys=[], modified=[], moved=moved and [])
    assert tablet.do("end_upload", upload)["tables"] == {"blobs": {"added": 1}}


@pytest.mark.parametrize("way", [OneStep, Stepwise])
def test_07_a_move_with_an_empty_table_takes_its_old_versions_along(server: str, way: type[Any]) -> None:
    tablet = way(server)
    tablet.upload({"patient": [patient()]}, preserving=False)
    tablet.upload({"patient": []}, preserving=False)
    assert tablet.upload({"patient": []}, preserving=True) == {"patient": {"preserved": 1}}
    assert not tablet.versions("patient").filter(mirror_era=NOW).exists()


def test_08_a_roll_back_leaves_the_times_of_what_was_there(tablet: Uploads) -> None:
    tablet.whole({"patient": [patient()]})
    before = list(tablet.versions("patient").values())
    upload = tablet.start()
    tablet.do("upload_empty_tables", upload, tables=["patient"])
    tablet.do("roll_back", upload)
    assert list(tablet.versions("patient").values()) == before


def test_09_two_moves_at_once_have_two_eras(tablet: Uploads) -> None:
    eras = [tablet.whole({"patient": [patient(surname=name)]}, preserving=True).body["era"] for name in "abcd"]
    assert eras == sorted(set(eras))
    assert len(current(tablet, "patient", era=None)) == 4


def test_09_the_database_itself_refuses_two_current_rows_of_one_record(tablet: Uploads) -> None:
    tablet.whole({"patient": [patient()]})
    (row,) = current(tablet, "patient")
    row.pk = row.pk + 1
    with pytest.raises(IntegrityError), transaction.atomic(using=tablet.alias):
        row.save(using=tablet.alias, force_insert=True)


def test_10_a_key_twice_in_one_payload_is_refused(tablet: Uploads) -> None:
    with pytest.raises(ClientKeyTwice):
        tablet.whole({"patient": [patient(), patient(surname="Other")]})
    assert not tablet.versions("patient").exists()


def test_11_force_finalize_ends_an_open_upload_which_then_says_so(tablet: Uploads) -> None:
    tablet.whole({"patient": [patient()]})
    upload = tablet.start()
    tablet.do("upload_table", upload, table="patient", rows=[patient(surname="New")])
    assert tablet.force_finalize() == {"patient": {"preserved": 1}}
    with pytest.raises(UploadNotOpen, match="preserved"):
        tablet.do("end_upload", upload)
    assert tablet.whole({"patient": [patient(surname="New")]}, preserving=True).body["tables"]["patient"] == {
        "added": 1,
        "preserved": 1,
    }


def test_12_a_changed_parent_changes_the_index_of_its_dependants(tablet: Uploads) -> None:
    rows = {"patient": [patient()], "progressnote": [note()]}
    tablet.whole(rows)
    tablet.whole(rows | {"patient": [patient(surname="Mensah", when=T2)]})
    entry = IndexEntry.objects.using(tablet.alias).get(model="camcops.progressnote")
    assert "Mensah" in entry.parent_text
    assert check_index(tablet.alias) == (0, [])


@pytest.mark.parametrize("column", ["_pk", "_era", "_current", "_added_by", "_group_id", "_when_added"])
@pytest.mark.parametrize("way", ["whole", "table", "record"])
def test_13_the_servers_own_columns_are_refused_in_every_mode(tablet: Uploads, column: str, way: str) -> None:
    row = patient() | {column: 1}
    upload = tablet.start()
    with pytest.raises(FieldReserved):
        if way == "whole":
            tablet.whole({"patient": [row]})
        elif way == "table":
            tablet.do("upload_table", upload, table="patient", rows=[row])
        else:
            tablet.do("upload_record", upload, table="patient", row=row)
    assert not tablet.versions("patient").exists()


@pytest.mark.parametrize("when", [T, None])
def test_15_other_content_at_the_same_time_or_without_one_is_a_modification(tablet: Uploads, when: str | None) -> None:
    tablet.whole({"patient": [patient(when=when)]})
    changed = tablet.whole({"patient": [patient(surname="Mensah", when=when)]}).body["tables"]
    assert changed == {"patient": {"added": 1, "modified": 1}}
    again = tablet.whole({"patient": [patient(surname="Mensah", when=when)]}).body["tables"]
    assert again == {"patient": {"identical": 1}}


def test_16_a_table_said_empty_and_then_filled_again_in_one_upload_is_unchanged(tablet: Uploads) -> None:
    tablet.whole({"patient": [patient()]})
    upload = tablet.start()
    tablet.do("upload_empty_tables", upload, tables=["patient"])
    tablet.do("upload_record", upload, table="patient", row=patient())
    assert tablet.do("end_upload", upload)["tables"] == {"patient": {"identical": 1}}
    assert tablet.versions("patient").count() == 1


@pytest.mark.parametrize("key", ["", "move-1"])
def test_17_a_move_repeated_after_a_lost_reply_changes_nothing(tablet: Uploads, key: str) -> None:
    first = tablet.whole({"patient": [patient()]}, preserving=True, key=key)
    again = tablet.whole({"patient": [patient()]}, preserving=True, key=key)
    assert (again.body, again.is_repeated) == (first.body, True)
    assert tablet.versions("patient").count() == 1


def test_17_stepwise_too(tablet: Uploads) -> None:
    upload = tablet.start(key="start")
    tablet.do("start_preservation", upload, key="preserve")
    tablet.do("upload_table", upload, table="patient", rows=[patient()], key="patient")
    first = tablet.do("end_upload", upload)
    assert tablet.do("end_upload", upload) == first
    assert tablet.start(key="start") == upload
    assert tablet.do("upload_table", upload, table="patient", rows=[patient()], key="patient")["rows"] == 1
    assert tablet.versions("patient").count() == 1


def test_18_deleted_recreated_and_moved_off_takes_the_deleted_ancestor_along(tablet: Uploads) -> None:
    tablet.whole({"patient": [patient()]})
    tablet.whole({"patient": []})
    counts = tablet.whole({"patient": [patient(surname="Mensah", when=T2, _move_off_tablet=1)]}).body["tables"]
    assert counts == {"patient": {"added": 1, "preserved": 2}}
    assert not tablet.versions("patient").filter(mirror_era=NOW).exists()


def test_19_ten_thousand_keys_stand_whole_in_the_audit(tablet: Uploads) -> None:
    tablet.whole({"patient": [patient(key) for key in range(10_000)]})
    changes = TableChanges.objects.using(tablet.alias).get(device=tablet.device)
    assert len(changes.keys["added"]) == 10_000
    assert changes.line().count(",") == 10_000


@pytest.mark.django_db(databases=["server", "server_pg"], transaction=True)
def test_20_two_uploads_of_one_device_at_once_take_turns(server: str) -> None:
    tablet = Uploads(server)
    errors: list[BaseException] = []

    def send(number: int) -> None:
        try:
            tablet.whole({"patient": [patient(key, surname=str(number)) for key in range(20)]})
        except BaseException as error:  # told to the test below
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(current(tablet, "patient")) == 20
    assert tablet.versions("patient").count() == 80


def test_another_users_start_rolls_the_open_upload_back(tablet: Uploads) -> None:
    upload = tablet.start()
    tablet.do("upload_table", upload, table="patient", rows=[patient()], key="staged")
    other = new_user(tablet.alias)
    begun = operations.start_upload(tablet.alias, user=other, device=tablet.device).upload_id
    with pytest.raises(UploadNotOpen, match=other.username):
        tablet.do("end_upload", upload)
    with pytest.raises(UploadUnknown):
        tablet.do("upload_table", begun, table="patient", rows=[])
    assert UploadStep.objects.using(tablet.alias).get(upload=upload).content is None
    assert not tablet.versions("patient").exists()


def test_what_is_staged_is_seen_by_no_reader(tablet: Uploads) -> None:
    upload = tablet.start()
    tablet.do("upload_table", upload, table="patient", rows=[patient()])
    assert not tablet.versions("patient").exists()


def test_a_refused_step_is_noted_and_leaves_the_upload_usable(tablet: Uploads) -> None:
    upload = tablet.start()
    with pytest.raises(SyncError):
        tablet.do("upload_table", upload, table="nonsense", rows=[])
    tablet.do("upload_table", upload, table="patient", rows=[patient()])
    tablet.do("end_upload", upload)
    (told,) = Upload.objects.using(tablet.alias).get(pk=upload).refusals
    assert (told["operation"], told["table"], told["code"]) == ("upload_table", "nonsense", "table_unknown")
