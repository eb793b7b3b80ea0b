"""What the wire refuses: with the right code, nothing written, and the open upload still usable."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from audit.models import Device, Source
from sync_api.models import Upload, UploadStep
from sync_api.uploads.registry import registry
from tests.camcops.models import RefSatisGen
from tests.integration.compat.wire import ADDRESS, Wire, read_reply
from tests.integration.registering import group, member
from tests.integration.uploads.driving import mirror

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])
FORM = "application/x-www-form-urlencoded"
CHANGED = "2026-04-22T15:36:08.381+01:00"
RESERVED = (
    *("_pk", "_device", "_era", "_current", "_predecessor", "_successor", "_when_added", "_when_removed"),
    *("_added_by", "_removed_by", "_preserved_by", "_forcibly_preserved", "_erased", "_app_version", "_source"),
    *("_device_id", "_group_id", "_when_added_batch_utc", "_addition_pending", "_manually_erased", "_anything"),
)


@pytest.fixture
def wire(server: str) -> Wire:
    own = group(server, "upload_records", "register_devices")
    nurse = Wire(member(server, own).get_username(), "tablet-a")
    nurse.must("register")
    nurse.must("start_upload")
    nurse.must("upload_table", table="patient", pkname="id", fields="id,surname", nrecords="1", record0="1,'A'")
    return nurse


def refused(reply: dict[str, str], code: str) -> None:
    assert (reply["success"], reply["error_code"]) == ("0", code), reply
    assert reply["error"]


def still_usable(server: str, wire: Wire) -> None:
    """Nothing of what was refused is there, and what was taken before is committed."""
    assert not Source.objects.using(server).exists()
    assert Upload.objects.using(server).filter(state=Upload.State.OPEN).count() == 1
    wire.must("end_upload")
    assert list(mirror("patient").objects.using(server).values_list("id", "surname")) == [(1, "A")]
    for table in ("progressnote", "ref_satis_gen", "blobs"):
        assert not mirror(table).objects.using(server).exists()


TABLE = {"table": "ref_satis_gen", "pkname": "id", "fields": "id,rating", "nrecords": "1", "record0": "1,2"}
BAD_TABLES: dict[str, tuple[dict[str, str], str]] = {
    "an unknown table": ({"table": "secrets"}, "table_unknown"),
    "a server's table": ({"table": "auth_user"}, "table_unknown"),
    "a mirror's table": ({"table": "patient_mirror"}, "table_unknown"),
    "an injected table": ({"table": "patient; DROP TABLE patient_mirror"}, "table_unknown"),
    "an unknown field": ({"fields": "id,salary"}, "field_unknown"),
    "an injected field": ({"fields": "id,rating) VALUES (1); --"}, "field_unknown"),
    "an empty field": ({"fields": "id,"}, "wire_malformed"),
    "a field twice": ({"fields": "id,id"}, "field_twice"),
    "another key": ({"pkname": "rating"}, "wire_malformed"),
    "no key among the fields": ({"fields": "rating,service"}, "client_key_missing"),
    "a key that is null": ({"record0": "NULL,2"}, "client_key_missing"),
    "a key that is a text": ({"record0": "'1',2"}, "value_wrong"),
    "a text for a number": ({"record0": "1,'two'"}, "value_wrong"),
    "a blob for a number": ({"record0": "1,X'00'"}, "value_wrong"),
    "a point in a whole number": ({"record0": "1,2.0"}, "value_wrong"),
    "a number out of range": ({"record0": f"1,{2**70}"}, "value_wrong"),
    "a number of many digits": ({"record0": "1," + "9" * 5_000}, "wire_malformed"),
    "no literal": ({"record0": "1,two"}, "wire_malformed"),
    "code in place of a literal": ({"record0": "1,__import__('os').getpid()"}, "wire_malformed"),
    "an open quote": ({"record0": "1,'two"}, "wire_malformed"),
    "too few values": ({"record0": "1"}, "wire_malformed"),
    "too many values": ({"record0": "1,2,3"}, "wire_malformed"),
    "fewer records": ({"nrecords": "2"}, "wire_malformed"),
    "more records": ({"nrecords": "0"}, "wire_malformed"),
    "a negative count": ({"nrecords": "-1"}, "wire_malformed"),
    "a huge count": ({"nrecords": "999999999"}, "wire_malformed"),
    "a count in words": ({"nrecords": "one"}, "wire_malformed"),
    "a key twice": ({"nrecords": "2", "record1": "1,3"}, "client_key_twice"),
    "a flag that is none": ({"fields": "id,_move_off_tablet", "record0": "1,7"}, "value_wrong"),
}


def test_bad_tables_are_refused_each_with_its_code(server: str, wire: Wire) -> None:
    found = {what: wire.ask("upload_table", **{**TABLE, **changes}) for what, (changes, _) in BAD_TABLES.items()}
    codes = {what: reply.get("error_code", "taken") for what, reply in found.items()}
    assert codes == {what: code for what, (_, code) in BAD_TABLES.items()}
    still_usable(server, wire)


def test_every_reserved_column_is_refused_in_both_modes(server: str, wire: Wire) -> None:
    """Defect 13: one-step skips field checks, so a client can set server columns."""
    for name in RESERVED:
        refused(wire.ask("upload_table", **{**TABLE, "fields": f"id,{name}"}), "field_reserved")
        values = {"table": "ref_satis_gen", "pkname": "id", "fields": f"id,{name}", "values": "1,2"}
        refused(wire.ask("upload_record", **values), "field_reserved")
    still_usable(server, wire)
    for name in RESERVED:
        refused(wire.whole({"patient": [{"id": 1, name: 2}]}), "field_reserved")
    assert mirror("patient").objects.using(server).count() == 1


ONE_STEP: dict[str, tuple[dict[str, str], str]] = {
    "tables that differ": ({"pknameinfo": '{"patient": "id"}', "dbdata": '{"blobs": []}'}, "wire_malformed"),
    "no key name": ({"pknameinfo": '{"patient": null}', "dbdata": '{"patient": []}'}, "wire_malformed"),
    "another key": ({"pknameinfo": '{"patient": "sex"}', "dbdata": '{"patient": []}'}, "wire_malformed"),
    "no JSON": ({"pknameinfo": "{", "dbdata": "{}"}, "wire_malformed"),
    "a list": ({"pknameinfo": "[]", "dbdata": "{}"}, "wire_malformed"),
    "deep JSON": ({"pknameinfo": "{}", "dbdata": "[" * 100_000}, "wire_malformed"),
    "rows that are none": ({"pknameinfo": '{"patient": "id"}', "dbdata": '{"patient": [1]}'}, "wire_malformed"),
    "a value that is no text": (
        {"pknameinfo": '{"patient": "id"}', "dbdata": '{"patient": [{"id": 1}]}'},
        "wire_malformed",
    ),
    "a value that is no literal": (
        {"pknameinfo": '{"patient": "id"}', "dbdata": '{"patient": [{"id": "one"}]}'},
        "wire_malformed",
    ),
    "two values in one": (
        {"pknameinfo": '{"patient": "id"}', "dbdata": '{"patient": [{"id": "1,2"}]}'},
        "wire_malformed",
    ),
    "an unknown table": ({"pknameinfo": '{"x": "id"}', "dbdata": '{"x": []}'}, "table_unknown"),
    "no flag": ({"pknameinfo": "{}", "dbdata": "{}", "finalizing": "yes"}, "wire_malformed"),
}


def test_bad_whole_databases_are_refused_each_with_its_code(server: str, wire: Wire) -> None:
    found = {
        what: wire.ask("upload_entire_database", **{"finalizing": "0", **changes})
        for what, (changes, _) in ONE_STEP.items()
    }
    codes = {what: reply.get("error_code", "taken") for what, reply in found.items()}
    assert codes == {what: code for what, (_, code) in ONE_STEP.items()}
    still_usable(server, wire)


def test_a_bad_row_in_a_later_table_leaves_nothing_of_the_earlier_ones(server: str, wire: Wire) -> None:
    """Defect 1: one-step is not atomic."""
    told = wire.whole({"ref_satis_gen": [{"id": 1}], "blobs": [{"id": 1, "tablepk": "text"}]})
    refused(told, "value_wrong")
    still_usable(server, wire)


def test_a_table_that_the_study_closed_takes_nothing(server: str, wire: Wire) -> None:
    registry.closed_to_uploads(RefSatisGen)
    refused(wire.ask("upload_table", **TABLE), "table_unknown")
    still_usable(server, wire)


def test_a_client_too_old_for_a_table_is_refused(server: str, wire: Wire) -> None:
    wire.standing_fields["camcops_version"] = "1.9.0"
    second = {"table": "every_kind", "pkname": "code", "fields": "code", "nrecords": "0"}
    refused(wire.ask("upload_table", **second), "client_too_old")
    refused(
        wire.ask("which_keys_to_send", table="every_kind", pkname="code", pkvalues="", datevalues=""), "client_too_old"
    )


def test_another_groups_device_and_a_user_without_right_are_refused(server: str, wire: Wire) -> None:
    steps = ("start_upload", "upload_table", "end_upload", "upload_entire_database", "check_upload_user_and_device")
    other = member(server, group(server, "upload_records", "register_devices")).get_username()
    nobody = member(server, group(server)).get_username()
    for name in (other, nobody):
        stranger = Wire(name, "tablet-a")
        for operation in (*steps, "start_preservation", "upload_empty_tables", "validate_patients"):
            refused(stranger.ask(operation, **TABLE, finalizing="1", pknameinfo="{}", dbdata="{}"), "permission_denied")
    refused(Wire(other, "tablet-a").ask("register"), "device_of_another_group")
    for operation in ("register", "get_id_info", "get_allowed_tables", "get_extra_strings"):
        refused(Wire(nobody, "tablet-b").ask(operation), "permission_denied")
    still_usable(server, wire)


def test_an_unknown_device_or_operation_is_refused(server: str, wire: Wire) -> None:
    stranger = Wire(wire.standing_fields["user"], "tablet-z")
    refused(stranger.ask("start_upload"), "device_not_registered")
    for operation in ("", "drop", "__class__", "START_UPLOAD"):
        refused(wire.ask(operation), "wire_malformed")
    still_usable(server, wire)


def post(body: bytes | str, content_type: str = FORM, **headers: Any) -> dict[str, str]:
    response = Client().generic("POST", ADDRESS, body, content_type=content_type, **headers)
    return read_reply(response.content.decode())


BROKEN_BODIES = (
    *(b"", b"operation", b"=&=", b"operation=start_upload&operation=end_upload", b"operation=%ff", b"\xff", b"&&&"),
    *(b"operation=start_upload&user=%00&device=%00", b"operation=register&user=a&device=" + b"x" * 70_000),
)


def test_bodies_that_are_no_forms_and_fields_that_are_none_are_refused(server: str) -> None:
    for body in BROKEN_BODIES:
        reply = post(body)
        assert reply["error_code"] in ("wire_malformed", "credentials_refused"), (body[:40], reply)


def test_a_body_of_another_kind_is_refused(server: str) -> None:
    refused(post(b"operation=start_upload", "multipart/form-data; boundary=x"), "wire_malformed")
    refused(post(b"operation=start_upload", "application/json"), "wire_malformed")


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server: str, wire: Wire, settings: Any) -> None:
    settings.SYNC_WIRE_BODY_BYTES_MAX = 2_000
    refused(
        wire.ask("upload_record", table="blobs", pkname="id", fields="id,theblob", values=f"1,X'{'00' * 2_000}'"),
        "body_too_large",
    )
    settings.SYNC_WIRE_BODY_BYTES_MAX = 1_000_000
    settings.SYNC_WIRE_FIELDS_MAX = 20
    refused(wire.ask("upload_table", **TABLE, **{f"record{n}": "" for n in range(1, 30)}), "wire_malformed")
    settings.SYNC_WIRE_FIELDS_MAX = 1_000
    still_usable(server, wire)


def test_characters_that_no_database_holds_are_no_failure(server: str, wire: Wire) -> None:
    wire.standing_fields["camcops_version"] = "2.4.0\0"
    wire.must("register", devicefriendlyname="a\0b")
    assert wire.ask("register", group="\0")["error_code"] == "group_unclear"
    refused(Wire(wire.standing_fields["user"], "a\0").ask("register"), "device_name_invalid")
    refused(Wire(wire.standing_fields["user"], "a\0").ask("start_upload"), "device_not_registered")
    refused(wire.ask("upload_table", **{**TABLE, "table": "\0"}), "table_unknown")
    refused(wire.ask("upload_table", **{**TABLE, "fields": "id,service", "record0": "1,'\0'"}), "value_wrong")
    wire.must("start_upload")
    wire.must("end_upload")


def test_names_of_devices_are_not_to_be_guessed(server: str, settings: Any) -> None:
    settings.SYNC_ACCESS_KEY_TRIES_PER_MINUTE_MAX = 3
    for number in range(3):
        refused(post(f"operation=check_device_registered&device=guess-{number}"), "device_not_registered")
    refused(post("operation=check_device_registered&device=tablet-a"), "throttled")


def test_no_answer_has_a_value_a_statement_or_a_stack(server: str, wire: Wire, monkeypatch: Any, caplog: Any) -> None:
    secret = "very secret text"
    reply = wire.ask("upload_table", **{**TABLE, "record0": f"1,'{secret}'"})
    assert secret not in str(reply)

    def broken(*_: Any, **__: Any) -> None:
        raise OperationalError(f"SELECT '{secret}'")

    monkeypatch.setattr("sync_api.compat.camcops.uploading.operations.end_upload", broken)
    asked = {**wire.standing_fields, **wire.session, "operation": "end_upload"}
    response = Client().generic("POST", ADDRESS, "&".join(f"{k}={v}" for k, v in asked.items()), content_type=FORM)
    assert response.status_code == 503
    assert read_reply(response.content.decode())["error_code"] == "server_busy"
    assert secret not in caplog.text + response.content.decode()


def test_the_wire_sets_no_cookie_and_asks_for_none(server: str, wire: Wire) -> None:
    assert not wire.client.cookies
    assert Device.objects.using(server).count() == 1
    assert UploadStep.objects.using(server).count() == 1
    assert json.dumps(wire.session).isascii()
