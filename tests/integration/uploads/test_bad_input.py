"""What comes from outside and is not right: refused with its code, nothing written, the open upload still usable."""

from __future__ import annotations

from typing import Any

import pytest

from audit.mirror.columns import OWN_COLUMNS
from audit.reading.changes import Asked, changes
from sync_api.exceptions import SyncError
from sync_api.models import Upload
from sync_api.uploads import operations
from tests.integration.uploads.driving import Uploads, new_device, new_user

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])

KEY = "0b7c9f0e-0000-4000-8000-00000000000a"


@pytest.fixture
def tablet(server: str) -> Uploads:
    return Uploads(server)


def refused(code: str, action: Any, *arguments: Any, **options: Any) -> SyncError:
    with pytest.raises(SyncError) as caught:
        action(*arguments, **options)
    assert caught.value.code == code
    return caught.value


def check_usable(tablet: Uploads, upload: str) -> None:
    """The upload is open, and commits what is right; nothing else was written."""
    tablet.do("upload_table", upload, table="patient", rows=[{"id": 7}])
    assert tablet.do("end_upload", upload)["tables"] == {"patient": {"added": 1}}
    assert [row.id for row in tablet.versions("patient")] == [7]


@pytest.mark.parametrize("column", sorted({*OWN_COLUMNS, "_group_id", "_addition_pending", "_anything"}))
def test_a_reserved_column_is_refused(tablet: Uploads, column: str) -> None:
    refused("field_reserved", tablet.whole, {"patient": [{"id": 1, column: 0}]})
    refused("field_reserved", tablet.whole, {"patient": {"fields": ["id", column], "rows": [[1, 0]]}})
    assert not tablet.versions("patient").exists()


BAD_ROWS: list[tuple[str, Any]] = [
    ("field_unknown", [{"id": 1, "shoe_size": 43}]),
    ("field_unknown", [{"id": 1, "mirror_pk": 43}]),
    ("field_unknown", [{"id": 1, "surname'; DROP TABLE patient; --": 43}]),
    ("field_twice", {"fields": ["id", "id"], "rows": [[1, 2]]}),
    ("client_key_missing", [{"surname": "Osei"}]),
    ("client_key_missing", [{"id": 1}, {"surname": "Osei"}]),
    ("client_key_missing", [{"id": None, "surname": "Osei"}]),
    ("client_key_twice", [{"id": 1}, {"id": 2}, {"id": 1, "surname": "Osei"}]),
    ("rows_invalid", "id"),
    ("rows_invalid", {"id": 1}),
    ("rows_invalid", [[1]]),
    ("rows_invalid", [None]),
    ("rows_invalid", {"fields": "id", "rows": [[1]]}),
    ("rows_invalid", {"fields": ["id"], "rows": [[1, 2]]}),
    ("value_wrong", [{"id": 1, "_move_off_tablet": "yes"}]),
    ("value_wrong", [{"id": 1, "_move_off_tablet": 2}]),
    ("value_wrong", [{"id": "1"}]),
    ("value_wrong", [{"id": True}]),
    ("value_wrong", [{"id": 2**63}]),
    ("value_wrong", [{"id": 1, "surname": 5}]),
    ("value_wrong", [{"id": 1, "surname": "nul\0"}]),
    ("value_wrong", [{"id": 1, "surname": "x" * 101}]),
    ("value_wrong", [{"id": 1, "surname": ["Osei"]}]),
    ("value_wrong", [{"id": 1, "dob": "1970-02-30"}]),
    ("value_wrong", [{"id": 1, "dob": "19700102"}]),
    ("value_wrong", [{"id": 1, "when_last_modified": "2026-04-22T14:35:07"}]),
    ("value_wrong", [{"id": 1, "when_last_modified": 5}]),
]


@pytest.mark.parametrize(("code", "rows"), BAD_ROWS, ids=[f"{code}-{n}" for n, (code, _) in enumerate(BAD_ROWS)])
def test_bad_rows_are_refused_and_the_open_upload_stays_usable(tablet: Uploads, code: str, rows: Any) -> None:
    upload = tablet.start()
    error = refused(code, tablet.do, "upload_table", upload, table="patient", rows=rows)
    assert "Osei" not in str(error)
    check_usable(tablet, upload)


@pytest.mark.parametrize("way", ["whole", "table"])
def test_the_audit_has_a_row_of_what_was_refused(tablet: Uploads, way: str) -> None:
    rows = [{"id": 1, "nickname": "Osei"}]
    if way == "whole":
        refused("field_unknown", tablet.whole, {"patient": rows})
    else:
        refused("field_unknown", tablet.do, "upload_table", tablet.start(), table="patient", rows=rows)
    (row,) = changes(tablet.alias, Asked(device=tablet.device.name, failed=True))
    assert (row.code, row.committed_by, row.keys, row.added) == ("field_unknown", tablet.user.username, {}, 0)
    assert row.model == ("" if way == "whole" else "camcops.patient")
    assert row.line().endswith("(failed, field_unknown)")
    assert "Osei" not in row.text


BAD_VALUES: list[tuple[str, Any]] = [
    *(("number", value) for value in (2**63, 1.5, "1", False)),
    *(("ratio", value) for value in ("1.5", True, float("nan"), float("inf"), 10**400)),
    *(("dose", value) for value in ("1.2345", "123456.1", "NaN", "x", 0.0001, [])),
    *(("done", value) for value in (2, "true", 1.0)),
    *(("day", value) for value in ("2026-13-01", 20260101, "2026-01-01T00:00:00")),
    *(("clock", value) for value in ("25:00", "10:00+01:00", 10)),
    *(("moment", value) for value in ("2026-01-01T00:00:00", "now", "0001-01-01T00:00:00+10:00")),
    *(("took", value) for value in ("long", 1.5, [])),
    *(("raw", value) for value in ("%%%", {"hex": "0"}, {"base64": 5}, {"rot13": "aa"}, {}, 5)),
    *(("answers", value) for value in ({"text": "nul\0"}, float("nan"))),
    *(("short", value) for value in ("sixsix", "\ud800")),
    *(("address", value) for value in ("1.2.3", 16909060)),
    *(("code", value) for value in ("not-a-uuid", 5)),
]


@pytest.mark.parametrize(("field", "value"), BAD_VALUES, ids=[f"{f}-{n}" for n, (f, _) in enumerate(BAD_VALUES)])
def test_a_value_that_does_not_fit_its_column_is_refused(tablet: Uploads, field: str, value: Any) -> None:
    if field == "answers" and tablet.alias == "server" and isinstance(value, dict):
        pytest.skip("SQLite holds a NUL in a JSON text")
    row = {"code": KEY, field: value}
    error = refused("value_wrong", tablet.whole, {"every_kind": [row]}, app_version="2.0")
    assert f"'{field}'" in str(error)
    assert not tablet.versions("every_kind").exists()


def test_unknown_tables_are_refused_by_every_operation(tablet: Uploads) -> None:
    upload = tablet.start()
    refused("table_unknown", tablet.whole, {"auth_user": []})
    for table in ("auth_user", "patient_mirror", "sync_api_upload", "patient; --", ""):
        refused("table_unknown", tablet.do, "upload_empty_tables", tablet.start(), tables=[table])
    upload = tablet.start()
    refused("table_unknown", tablet.do, "upload_record", upload, table="auth_user", row={"id": 1})
    refused("table_unknown", tablet.do, "delete_where_key_not", upload, table="auth_user", keys=[])
    refused("table_unknown", tablet.do, "which_keys_to_send", upload, table="x", keys=[], modified=[])
    refused("table_twice", tablet.do, "upload_empty_tables", upload, tables=["patient", "camcops.patient"])
    check_usable(tablet, upload)


def test_lists_that_do_not_belong_together_are_refused(tablet: Uploads) -> None:
    upload = tablet.start()
    ask = {"operation": "which_keys_to_send", "upload": upload, "table": "blobs"}
    refused("rows_invalid", tablet.do, **ask, keys=[1, 2], modified=[None])
    refused("rows_invalid", tablet.do, **ask, keys=[1], modified=[None], moved=[1, 1])
    refused("rows_invalid", tablet.do, **ask, keys="1", modified=None)
    refused("client_key_twice", tablet.do, **ask, keys=[1, 1], modified=None)
    refused("value_wrong", tablet.do, **ask, keys=["x"], modified=None)
    check_usable(tablet, upload)


def test_records_that_were_asked_for_and_not_sent_hold_the_commit(tablet: Uploads) -> None:
    upload = tablet.start()
    wanted = tablet.do("which_keys_to_send", upload, table="blobs", keys=[1, 2], modified=[None, None])
    assert wanted["keys"] == [1, 2]
    tablet.do("upload_record", upload, table="blobs", row={"id": 1})
    refused("upload_incomplete", tablet.do, "end_upload", upload)
    tablet.do("upload_record", upload, table="blobs", row={"id": 2})
    assert tablet.do("end_upload", upload)["tables"] == {"blobs": {"added": 2}}


@pytest.mark.parametrize(
    ("setting", "size"),
    [("SYNC_UPLOAD_ROWS_MAX", 2), ("SYNC_UPLOAD_STAGED_BYTES_MAX", 100), ("SYNC_UPLOAD_STEPS_MAX", 0)],
)
def test_what_is_too_large_is_refused(tablet: Uploads, settings: Any, setting: str, size: int) -> None:
    setattr(settings, setting, size)
    rows = [{"id": key, "surname": "Osei"} for key in range(3)]
    upload = tablet.start()
    refused("upload_too_large", tablet.do, "upload_table", upload, table="patient", rows=rows)
    delattr(settings, setting)
    check_usable(tablet, upload)


def test_an_idempotency_key_is_for_one_request(tablet: Uploads) -> None:
    upload = tablet.start(key="start")
    tablet.do("upload_table", upload, table="patient", rows=[{"id": 1}], key="one")
    refused("idempotency_key_reused", tablet.do, "upload_table", upload, table="patient", rows=[{"id": 2}], key="one")
    refused("idempotency_key_reused", tablet.do, "upload_empty_tables", upload, tables=["patient"], key="one")
    refused("idempotency_key_reused", tablet.whole, {"patient": []}, key="start")
    refused("idempotency_key_invalid", tablet.start, key="x" * 101)
    refused("idempotency_key_invalid", tablet.start, key="ключ")
    check_usable(tablet, upload)


def test_a_client_too_old_for_a_table_is_refused(tablet: Uploads) -> None:
    refused("client_too_old", tablet.whole, {"every_kind": []}, app_version="1.9.9")
    refused("client_too_old", tablet.whole, {"every_kind": []})
    assert tablet.whole({"every_kind": []}, app_version="2.0").body["tables"] == {}


def test_who_may_not_upload_is_refused(tablet: Uploads) -> None:
    upload = tablet.start()
    stranger = new_user(tablet.alias)
    stranger.is_superuser = False
    stranger.save(using=tablet.alias)
    for operation, facts in (("upload_table", {"table": "patient", "rows": []}), ("end_upload", {}), ("roll_back", {})):
        call = getattr(operations, operation)
        refused("permission_denied", call, tablet.alias, user=stranger, upload=upload, **facts)
    refused("permission_denied", operations.start_upload, tablet.alias, user=stranger, device=tablet.device)
    refused("upload_unknown", operations.end_upload, tablet.alias, user=new_user(tablet.alias), upload=upload)
    refused("upload_unknown", tablet.do, "end_upload", "no-uuid")
    check_usable(tablet, upload)


def test_a_device_that_sends_a_log_uploads_no_tables(tablet: Uploads) -> None:
    laptop = new_device(tablet.alias, kind="log")
    refused("device_sends_log", operations.start_upload, tablet.alias, user=tablet.user, device=laptop)
    tablet.device = laptop
    refused("device_sends_log", tablet.whole, {"patient": []})


def test_refused_uploads_are_kept_with_their_code_and_not_without_end(tablet: Uploads, settings: Any) -> None:
    settings.SYNC_UPLOAD_REFUSALS_KEPT_MAX = 3
    for _ in range(5):
        refused("field_unknown", tablet.whole, {"patient": [{"id": 1, "shoe_size": 5}]}, key="again")
    kept = Upload.objects.using(tablet.alias).filter(device=tablet.device)
    assert [(one.state, one.code) for one in kept] == [("refused", "field_unknown")] * 3
    assert tablet.whole({"patient": [{"id": 1}]}, key="again").body["tables"] == {"patient": {"added": 1}}
