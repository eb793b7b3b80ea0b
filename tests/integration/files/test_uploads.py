"""Uploads by tus: bound to what was declared; bad input gets its code, leaves no orphan and begins no loop."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from sync_api.files.cleaning import clean_files
from sync_api.files.store import ContentStore
from sync_api.files.uploads import part_of, writing
from sync_api.models import FileUpload
from tests.integration.field import Enrolled, enrolled
from tests.integration.files.conftest import on_disk
from tests.integration.files.test_store import BYTES, SHA256, a_fact

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])
NAME = "test-laptop"
TUS = {"Tus-Resumable": "1.0.0"}
CHUNK = "application/offset+octet-stream"


@pytest.fixture(autouse=True)
def served(server: str, settings: Any) -> str:
    settings.SYNC_SERVER_DATABASE = server
    return server


@pytest.fixture
def device(server: str) -> Enrolled:
    device = enrolled(server, NAME)
    a_fact(server, device=NAME)
    return device


@pytest.fixture
def web() -> Client:
    return Client(raise_request_exception=False)


def metadata(sha256: str, **more: str) -> str:
    pairs = {"sha256": sha256, **more}
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in pairs.items())


def create(web: Client, device: Enrolled, *, sha256: str = SHA256, size: int = len(BYTES), **more: str) -> Any:
    headers = {**device.headers, **TUS, "Upload-Length": str(size), "Upload-Metadata": metadata(sha256, **more)}
    return web.post("/api/v1/files/uploads", headers=headers)


def begun(web: Client, device: Enrolled) -> str:
    answer = create(web, device)
    assert answer.status_code == 201, answer.content
    assert answer["Upload-Expires"]
    return str(answer["Location"]).removeprefix("http://testserver")


def patch(web: Client, device: Enrolled, url: str, content: bytes, offset: int = 0, **headers: str) -> Any:
    told = {**device.headers, **TUS, "Upload-Offset": str(offset), **headers}
    if not content:  # Django's test client tells neither then
        told |= {"Content-Type": CHUNK, "Content-Length": "0"}
    return web.generic("PATCH", url, content, content_type=CHUNK, headers=told)


def head(web: Client, device: Enrolled, url: str) -> Any:
    return web.head(url, headers={**device.headers, **TUS})


def missing(web: Client, device: Enrolled, *hashes: str) -> dict[str, Any]:
    answer = web.post(
        "/api/v1/files/missing", {"sha256": list(hashes)}, content_type="application/json", headers=device.headers
    )
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def assert_refused(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, json.loads(answer.content)["code"]) == (status, code)
    assert answer["Tus-Resumable"] == "1.0.0"


def assert_no_orphan(server: str, folder: Path) -> None:
    assert on_disk(folder) == []
    assert not ContentStore(server).holds(SHA256)


def test_an_upload_in_pieces_is_kept_and_no_more_missing(
    web: Client, device: Enrolled, server: str, files_folder: Path
) -> None:
    (one,) = missing(web, device, SHA256)["missing"]
    assert (one["sha256"], one["size"], one["upload"], one["offset"]) == (SHA256, len(BYTES), None, 0)
    url = begun(web, device)
    checksum = "sha1 " + base64.b64encode(hashlib.sha1(BYTES[:3_000]).digest()).decode()
    assert patch(web, device, url, BYTES[:3_000], **{"Upload-Checksum": checksum})["Upload-Offset"] == "3000"
    (one,) = missing(web, device, SHA256)["missing"]
    assert (one["upload"], one["offset"]) == (url, 3_000)
    answer = head(web, device, url)
    assert (answer["Upload-Offset"], answer["Upload-Length"]) == ("3000", str(len(BYTES)))
    assert answer["Cache-Control"] == "no-store"
    assert patch(web, device, url, BYTES[3_000:], 3_000).status_code == 204
    assert missing(web, device, SHA256) == {"missing": [], "undeclared": []}
    assert head(web, device, url)["Upload-Offset"] == str(len(BYTES))
    assert patch(web, device, url, b"", len(BYTES)).status_code == 204
    assert on_disk(files_folder) == [SHA256]
    assert_refused(create(web, device), 409, "content_held")


def test_what_the_server_can_do(web: Client, device: Enrolled) -> None:
    answer = web.options("/api/v1/files/uploads", headers=device.headers)
    assert (answer.status_code, answer["Tus-Version"]) == (204, "1.0.0")
    assert answer["Tus-Extension"] == "creation,checksum,expiration,termination"
    assert "sha1" in answer["Tus-Checksum-Algorithm"]
    assert web.options("/api/v1/files/uploads").status_code == 401


def test_wrong_bytes_end_the_upload_and_leave_nothing(
    web: Client, device: Enrolled, server: str, files_folder: Path
) -> None:
    url = begun(web, device)
    assert_refused(patch(web, device, url, BYTES[:-1] + b"!"), 422, "content_mismatch")
    assert_no_orphan(server, files_folder)
    assert head(web, device, url).status_code == 410
    assert_refused(patch(web, device, url, BYTES), 410, "file_upload_gone")
    assert missing(web, device, SHA256)["missing"][0]["upload"] is None


def test_longer_shorter_undeclared_and_unsaid(web: Client, device: Enrolled, server: str, files_folder: Path) -> None:
    assert_refused(create(web, device, size=len(BYTES) + 1), 403, "file_upload_undeclared")
    assert_refused(create(web, device, size=len(BYTES) - 1), 403, "file_upload_undeclared")
    assert_refused(create(web, device, sha256="0" * 64), 403, "file_upload_undeclared")
    assert_refused(create(web, device, sha256="../../etc/passwd"), 400, "file_upload_metadata_invalid")
    assert missing(web, device, "0" * 64) == {"missing": [], "undeclared": ["0" * 64]}
    url = begun(web, device)
    assert_refused(patch(web, device, url, BYTES + b"more"), 413, "file_upload_too_long")
    assert patch(web, device, url, BYTES[:10])["Upload-Offset"] == "10"
    assert not ContentStore(server).holds(SHA256), "a shorter file was taken for the whole"
    assert_refused(patch(web, device, url, BYTES[:10]), 409, "file_upload_offset_differs")
    assert_refused(patch(web, device, url, BYTES[20:30], 20), 409, "file_upload_offset_differs")
    assert FileUpload.objects.using(server).count() == 1


def test_other_devices_neither_begin_continue_see_nor_end_it(web: Client, device: Enrolled, server: str) -> None:
    other = enrolled(server, "test-other")
    url = begun(web, device)
    assert_refused(create(web, other), 403, "file_upload_undeclared")
    assert missing(web, other, SHA256)["undeclared"] == [SHA256]
    assert_refused(patch(web, other, url, BYTES), 403, "file_upload_not_yours")
    assert head(web, other, url).status_code == 403
    assert web.delete(url, headers={**other.headers, **TUS}).status_code == 403
    assert patch(web, Enrolled(NAME, device.keys, {}, "wrong"), url, BYTES).status_code == 401
    assert patch(web, device, url, BYTES).status_code == 204


def test_a_carrier_brings_the_files_of_others(web: Client, device: Enrolled, server: str) -> None:
    relay = enrolled(server, "test-relay", role="relay")
    assert missing(web, relay, SHA256)["missing"][0]["size"] == len(BYTES)
    assert patch(web, relay, begun(web, relay), BYTES).status_code == 204
    assert missing(web, device, SHA256) == {"missing": [], "undeclared": []}


def test_one_writer_at_a_time_and_a_silent_one_gives_way(
    web: Client, device: Enrolled, server: str, settings: Any
) -> None:
    url = begun(web, device)
    upload = FileUpload.objects.using(server).get()
    patch(web, device, url, BYTES[:10])
    with writing(server, upload) as still_mine:
        assert_refused(patch(web, device, url, BYTES[10:20], 10), 423, "file_upload_locked")
        assert web.delete(url, headers={**device.headers, **TUS}).status_code == 423
        settings.SYNC_UPLOAD_SILENT_SECONDS = 0.01
        time.sleep(0.05)
        assert patch(web, device, url, BYTES[10:20], 10)["Upload-Offset"] == "20"
        assert not still_mine()
    assert head(web, device, url)["Upload-Offset"] == "20"


def test_a_full_disk_begins_nothing_and_keeps_what_was_sent(
    web: Client, device: Enrolled, server: str, settings: Any, files_folder: Path
) -> None:
    settings.SYNC_FILES_FREE_BYTES_MIN = 2**60
    assert_refused(create(web, device), 507, "files_disk_full")
    assert not FileUpload.objects.using(server).exists()
    settings.SYNC_FILES_FREE_BYTES_MIN = 0
    url = begun(web, device)
    patch(web, device, url, BYTES[:10])
    settings.SYNC_FILES_FREE_BYTES_MIN = 2**60
    assert_refused(patch(web, device, url, BYTES[10:], 10), 507, "files_disk_full")
    settings.SYNC_FILES_FREE_BYTES_MIN = 0
    assert head(web, device, url)["Upload-Offset"] == "10"
    assert patch(web, device, url, BYTES[10:], 10).status_code == 204


def test_a_wrong_checksum_throws_the_chunk_away(web: Client, device: Enrolled) -> None:
    url = begun(web, device)
    patch(web, device, url, BYTES[:10])
    wrong = "sha1 " + base64.b64encode(hashlib.sha1(b"other").digest()).decode()
    answer = patch(web, device, url, BYTES[10:20], 10, **{"Upload-Checksum": wrong})
    assert_refused(answer, 460, "checksum_mismatch")
    assert head(web, device, url)["Upload-Offset"] == "10"
    for header in ("crc32 AAAA", "sha1 !!", "sha1"):
        assert_refused(patch(web, device, url, b"x", 10, **{"Upload-Checksum": header}), 400, "checksum_unusable")


def test_the_protocol_itself(web: Client, device: Enrolled) -> None:
    url = begun(web, device)
    answer = web.head(url, headers=device.headers)
    assert (answer.status_code, answer["Tus-Version"]) == (412, "1.0.0")
    wrong = web.generic("PATCH", url, b"x", content_type="text/plain", headers={**device.headers, **TUS})
    assert wrong.status_code == 415
    assert_refused(patch(web, device, url, b"x", **{"Upload-Offset": "-1"}), 400, "file_upload_metadata_invalid")
    assert head(web, device, "/api/v1/files/uploads/" + "0" * 32).status_code == 404
    assert head(web, device, "/api/v1/files/uploads/..%2f..%2fetc").status_code == 404
    overridden = {**device.headers, **TUS, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    answer = web.generic("POST", url, BYTES[:5], content_type=CHUNK, headers=overridden)
    assert (answer.status_code, answer["Upload-Offset"]) == (204, "5")
    assert web.delete(url, headers={**device.headers, **TUS}).status_code == 204
    assert head(web, device, url).status_code == 410


def test_an_upload_that_nobody_continues_expires_with_its_bytes(
    web: Client, device: Enrolled, server: str, files_folder: Path
) -> None:
    url = begun(web, device)
    patch(web, device, url, BYTES[:10])
    assert len(on_disk(files_folder)) == 1
    FileUpload.objects.using(server).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert head(web, device, url).status_code == 410
    assert clean_files(server).uploads == 1
    assert on_disk(files_folder) == []
    assert patch(web, device, begun(web, device), BYTES).status_code == 204


def test_a_whole_part_whose_end_was_killed_is_ended_by_the_next_question(
    web: Client, device: Enrolled, server: str
) -> None:
    url = begun(web, device)
    part_of(server, FileUpload.objects.using(server).get()).write_bytes(BYTES)
    assert head(web, device, url)["Upload-Offset"] == str(len(BYTES))
    assert ContentStore(server).holds(SHA256)


def test_limits(web: Client, device: Enrolled, server: str, settings: Any) -> None:
    settings.SYNC_UPLOADS_PER_DEVICE_MAX = 1
    begun(web, device)
    assert_refused(create(web, device), 429, "file_uploads_too_many")
    settings.SYNC_FILE_BYTES_MAX = 100
    assert_refused(create(web, device), 413, "file_too_large")
    settings.SYNC_FILES_PER_REQUEST_MAX = 1
    body = {"sha256": ["0" * 64, "1" * 64]}
    answer = web.post("/api/v1/files/missing", body, content_type="application/json", headers=device.headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_names_path_is_never_used(web: Client, device: Enrolled, server: str, files_folder: Path) -> None:
    answer = create(web, device, filename="../../../tmp/owned", name="/etc/passwd")
    assert answer.status_code == 201
    patch(web, device, str(answer["Location"]), BYTES)
    assert on_disk(files_folder) == [SHA256]
