"""The observatory's bytes in the content store: kept once, for as long as something needs them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import IntegrityError, connections
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sync_api.exceptions import LocalContentMissing
from sync_api.files import former, uses
from sync_api.files.cleaning import clean_files
from sync_api.files.storage import ContentStorage
from sync_api.files.store import ContentStore
from sync_api.imports.sessions import forget_expired
from sync_api.models import Content, ContentUse, FileFact, ImportedContent
from syncserver.observatory.clearing import clear_database
from syncserver.observatory.contents import open_content
from syncserver.observatory.high_water import set_high_water_mark
from syncserver.observatory.models import FileRecord
from syncserver.observatory.records import register_file, update_camera_status
from tests.integration.exports.conftest import Pair, path_of
from tests.integration.exports.test_hostile import CONTENT, MD5, A, Sender, a_file, a_status, an_event
from tests.integration.field import enrolled
from tests.integration.files.conftest import on_disk
from tests.integration.files.test_store import a_fact, long_ago
from tests.integration.files.test_uploads import NAME, create, missing, patch
from tests.observatory_data import CAMERA, DAY, file_at, status

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"])

SHA256 = hashlib.sha256(CONTENT).hexdigest()
Commit = Callable[..., Any]
"""Runs what waits for a commit, at the end of the block."""


@pytest.fixture
def files_folder(tmp_path: Path, settings: Any) -> Path:
    settings.SYNC_FILES_DIR = str(tmp_path / "target" / "files")
    settings.SYNC_FILES_FREE_BYTES_MIN = 0
    return tmp_path / "target" / "files"


@pytest.fixture
def sender(pair: Pair, settings: Any, files_folder: Path) -> Sender:
    """A sender to the target, where the status C is."""
    settings.SYNC_SERVER_DATABASE = settings.SYNC_FILES_DATABASE = pair.target
    sender = Sender(pair.target)
    assert sender.state({"type": "status", "status": a_status()}) == {"state": "continue"}
    return sender


@pytest.fixture
def commit(pair: Pair, django_capture_on_commit_callbacks: Any) -> Commit:
    return lambda: django_capture_on_commit_callbacks(using=pair.target, execute=True)


def import_an_event(sender: Sender) -> FileRecord:
    body = {"type": "event", "event": an_event()}
    assert sender.state(body)["state"] == "need_file_data"
    assert sender.upload(A, MD5, CONTENT).status_code == 200
    assert sender.state(body) == {"state": "complete"}
    return FileRecord.objects.using(sender.alias).get()


def remove(sender: Sender) -> None:
    """The source says that its file is gone."""
    tombstone = {"type": "tombstone", "tombstone": {"tombstone_id": A, "entity_type": "file"}}
    assert sender.state(tombstone) == {"state": "complete"}


def test_bytes_of_a_record_by_tus_and_of_an_import_are_stored_once(
    sender: Sender, files_folder: Path, commit: Commit
) -> None:
    device = enrolled(sender.alias, NAME)
    a_fact(sender.alias, SHA256, device=NAME, size=len(CONTENT))
    web = Client()
    (answer,) = missing(web, device, SHA256)["missing"]
    assert answer["sha256"] == SHA256
    location = create(web, device, sha256=SHA256, size=len(CONTENT))["Location"]
    assert patch(web, device, str(location).removeprefix("http://testserver"), CONTENT).status_code == 204
    with commit():
        import_an_event(sender)
    assert on_disk(files_folder) == [SHA256]
    with commit():
        remove(sender)
    long_ago(sender.alias)
    clean_files(sender.alias)
    assert on_disk(files_folder) == [SHA256], "the version in the mirror needs it"
    assert missing(web, device, SHA256)["missing"] == []
    FileFact.objects.using(sender.alias).all().delete()
    long_ago(sender.alias)
    clean_files(sender.alias)
    assert on_disk(files_folder) == []


def test_what_an_import_brought_first_is_not_asked_of_the_laptop(sender: Sender, commit: Commit) -> None:
    with commit():
        import_an_event(sender)
    device = enrolled(sender.alias, NAME)
    a_fact(sender.alias, SHA256, device=NAME, size=len(CONTENT))
    assert missing(Client(), device, SHA256)["missing"] == []


def test_a_file_saved_by_a_record_and_an_import_are_stored_once(
    sender: Sender, files_folder: Path, commit: Commit
) -> None:
    name = ContentStorage().save("photo.png", ContentFile(CONTENT))
    with commit():
        import_an_event(sender)
    with commit():
        remove(sender)
    assert on_disk(files_folder) == [SHA256], "the stored name needs it"
    with ContentStorage().open(name) as file:
        assert file.read() == CONTENT


def test_a_record_keeps_its_bytes_and_the_last_record_takes_them(
    sender: Sender, files_folder: Path, commit: Commit
) -> None:
    with commit():
        import_an_event(sender)
        own = register(sender.alias, CONTENT)
    long_ago(sender.alias)
    assert clean_files(sender.alias).contents == 0
    with commit():
        remove(sender)
    long_ago(sender.alias)
    assert clean_files(sender.alias).contents == 0
    assert on_disk(files_folder) == [SHA256]
    with open_content(sender.alias, own) as file:
        assert file.read() == CONTENT
    set_high_water_mark("own", DAY + timedelta(days=1), alias=sender.alias)
    with commit():
        set_high_water_mark("own", DAY - timedelta(days=1), alias=sender.alias)
    assert on_disk(files_folder) == []
    assert not ContentUse.objects.using(sender.alias).exists()
    assert not Content.objects.using(sender.alias).exists()


def register(alias: str, content: bytes) -> FileRecord:
    update_camera_status(status(), "own", DAY - timedelta(days=2), alias=alias)
    return file_at(alias, DAY, content, camera_id="own")


def test_after_a_kill_before_the_removal_the_clean_up_removes_them(sender: Sender, files_folder: Path) -> None:
    import_an_event(sender)
    remove(sender)  # nothing runs at the commit
    assert clean_files(sender.alias).contents == 0, "not long enough ago"
    long_ago(sender.alias)
    assert clean_files(sender.alias).contents == 1
    assert on_disk(files_folder) == []


def test_bytes_that_wait_for_their_record_stay_until_they_are_too_old(
    sender: Sender, files_folder: Path, commit: Commit
) -> None:
    assert sender.state({"type": "event", "event": an_event()})["state"] == "need_file_data"
    assert sender.upload(A, MD5, CONTENT).status_code == 200
    long_ago(sender.alias)
    assert clean_files(sender.alias).contents == 0
    ImportedContent.objects.using(sender.alias).update(received_at=timezone.now() - timedelta(days=99))
    with commit():
        forget_expired(sender.alias)
    assert on_disk(files_folder) == []


def test_another_content_of_a_record_takes_the_former_ones_place(
    sender: Sender, files_folder: Path, commit: Commit
) -> None:
    with commit():
        import_an_event(sender)
    other = b"other bytes"
    md5 = hashlib.md5(other).hexdigest()
    body = {"type": "event", "event": an_event(files=[a_file(md5=md5, file_size=len(other))])}
    assert sender.state(body)["state"] == "need_file_data"
    with commit():
        assert sender.upload(A, md5, other).status_code == 200
        assert sender.state(body) == {"state": "complete"}
    assert on_disk(files_folder) == [hashlib.sha256(other).hexdigest()]


def test_a_wrong_md5_keeps_nothing(sender: Sender, files_folder: Path) -> None:
    assert sender.state({"type": "event", "event": an_event()})["state"] == "need_file_data"
    answer = sender.upload(A, MD5, CONTENT.swapcase())
    assert (answer.status_code, answer.json()["code"]) == (422, "content_refused")
    assert on_disk(files_folder) == []
    for model in (Content, ContentUse, ImportedContent):
        assert not model._default_manager.using(sender.alias).exists()


def test_a_full_disk_is_the_targets_own_trouble(sender: Sender, files_folder: Path, settings: Any) -> None:
    """A 507 defers the whole configuration; a 409 would blame the entity, which is given up in the end."""
    assert sender.state({"type": "event", "event": an_event()})["state"] == "need_file_data"
    settings.SYNC_FILES_FREE_BYTES_MIN = 2**60
    answer = sender.upload(A, MD5, CONTENT)
    assert (answer.status_code, answer.json()["code"]) == (507, "files_disk_full")
    assert on_disk(files_folder) == []


def test_a_record_that_is_not_written_leaves_no_use(pair: Pair, files_folder: Path) -> None:
    update_camera_status(status(), CAMERA, DAY, alias=pair.source)
    with pytest.raises(IntegrityError):
        register_file(
            io.BytesIO(CONTENT),
            camera_id=CAMERA,
            file_time=DAY,
            mime_type=None,  # type: ignore[arg-type]
            semantic_type="m:still",
            alias=pair.source,
        )
    assert not ContentUse.objects.using(pair.source).exists()
    assert not Content.objects.using(pair.source).exists()


def test_clearing_everything_leaves_what_others_need(sender: Sender, files_folder: Path, commit: Commit) -> None:
    with commit():
        import_an_event(sender)
        register(sender.alias, b"named by a fact too")
    a_fact(sender.alias, hashlib.sha256(b"named by a fact too").hexdigest())
    ContentUse.objects.using(sender.alias).create(sha256="0" * 64, user="tests", key="1")
    with override_settings(OBSERVATORY_MAY_BE_CLEARED=True), commit():
        clear_database(alias=sender.alias)
    assert on_disk(files_folder) == [hashlib.sha256(b"named by a fact too").hexdigest()]
    assert ContentUse.objects.using(sender.alias).get().user == "tests"


def test_a_file_restored_from_a_backup_counts_as_here_again(pair: Pair) -> None:
    update_camera_status(status(), CAMERA, DAY, alias=pair.source)
    file = file_at(pair.source, DAY, CONTENT)
    path = path_of(pair.source, file.sha256)
    path.write_bytes(CONTENT.swapcase())
    for _ in range(2):
        with pytest.raises(LocalContentMissing, match="are damaged"):
            open_content(pair.source, file)
    path.unlink()
    with pytest.raises(LocalContentMissing, match="are not"):
        open_content(pair.source, file)
    assert not ContentStore(pair.source).holds(file.sha256)
    path.write_bytes(CONTENT)
    with open_content(pair.source, file) as source:
        assert source.read() == CONTENT
    assert ContentStore(pair.source).holds(file.sha256)


def test_a_range_comes_out_of_any_django_storage(sender: Sender, settings: Any, tmp_path: Path, commit: Commit) -> None:
    bucket = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(tmp_path / "bucket")},
    }
    settings.STORAGES = {**settings.STORAGES, "sync_contents": bucket}
    with commit():
        file = import_an_event(sender)
    assert [path.name for path in (tmp_path / "bucket").rglob("*") if path.is_file()] == [SHA256]
    viewer = get_user_model()._default_manager.db_manager("default").create_superuser("viewer", password="pw")
    client = Client()
    client.force_login(viewer)
    answer: Any = client.get(f"/observatory/files/{file.file_id}/content", headers={"Range": "bytes=4-8"})
    assert (answer.status_code, b"".join(answer.streaming_content)) == (206, CONTENT[4:9])
    with commit():
        remove(sender)
    assert not [path for path in (tmp_path / "bucket").rglob("*") if path.is_file()]


def test_bytes_of_an_unfinished_removal_are_never_noted(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """They went between the upload and its note: nothing claims them, and they are asked for again."""
    body = {"type": "event", "event": an_event()}
    assert sender.state(body)["state"] == "need_file_data"
    with monkeypatch.context() as patched:
        patched.setattr(uses, "is_held", lambda alias, sha256: False)
        assert sender.upload(A, MD5, CONTENT).status_code == 200
    assert not ContentUse.objects.using(sender.alias).exists()
    assert sender.state(body)["state"] == "need_file_data"


def test_looking_whether_bytes_are_held_locks_them(pair: Pair) -> None:
    ContentStore(pair.target).take([CONTENT])
    with CaptureQueriesContext(connections[pair.target]) as statements:
        assert uses.is_held(pair.target, SHA256)
        assert not uses.is_held(pair.target, "0" * 64)
    if connections[pair.target].vendor == "postgresql":
        assert ["FOR UPDATE" in statement["sql"] for statement in statements] == [True, True]


# What an installation had before there was one store.


@pytest.fixture
def formerly(pair: Pair, settings: Any, tmp_path: Path) -> FileRecord:
    """A record as the version before left it: its bytes below MEDIA_ROOT/exchanged, and no use."""
    update_camera_status(status(), CAMERA, DAY, alias=pair.source)
    file = file_at(pair.source, DAY, CONTENT)
    path = former.former_path(file.sha256)
    path.parent.mkdir(parents=True)
    path_of(pair.source, file.sha256).rename(path)
    ContentUse.objects.using(pair.source).all().delete()
    Content.objects.using(pair.source).all().delete()
    return file


def migrate(alias: str) -> None:
    migration = import_module("syncserver.observatory.migrations.0002_content_uses")
    migration.name_contents(apps, SimpleNamespace(connection=connections[alias]))


def test_former_bytes_are_read_before_and_after_they_were_moved(pair: Pair, formerly: FileRecord) -> None:
    for _ in range(2):
        migrate(pair.source)
    use = ContentUse.objects.using(pair.source).get()
    assert (use.user, use.key, use.sha256) == ("observatory.file", formerly.file_id.hex, formerly.sha256)
    with open_content(pair.source, formerly) as file:
        assert file.read() == CONTENT
    pair.configure("observatory.FileRecord")
    assert pair.exporter.run().marked == 1
    assert FileRecord.objects.using(pair.target).get().sha256 == formerly.sha256
    said = call_command("adopt_files", database=pair.source)
    assert said.startswith("Moved 1 contents; 0 damaged files and 0 ")
    assert not former.former_path(formerly.sha256).exists()
    assert path_of(pair.source, formerly.sha256).read_bytes() == CONTENT
    long_ago(pair.source)
    assert clean_files(pair.source).contents == 0
    with open_content(pair.source, formerly) as file:
        assert file.read() == CONTENT
    again = json.loads(call_command("adopt_files", database=pair.source, json=True))
    assert again == {"moved": 0, "damaged": 0, "unnamed": 0}


def test_moving_again_after_a_kill_ends_it(pair: Pair, formerly: FileRecord) -> None:
    migrate(pair.source)
    assert former.adopt_former(pair.source, keep=True).moved == 1
    assert former.former_path(formerly.sha256).exists(), "as a kill before the removal leaves it"
    path_of(pair.source, formerly.sha256).write_bytes(b"damaged meanwhile")
    assert former.adopt_former(pair.source).moved == 1
    assert not former.former_path(formerly.sha256).exists()
    with open_content(pair.source, formerly) as file:
        assert file.read() == CONTENT


def test_damaged_and_unnamed_former_files_stay_where_they_are(pair: Pair, formerly: FileRecord) -> None:
    unnamed = former.former_path("0" * 64)
    unnamed.parent.mkdir()
    unnamed.write_bytes(b"of no record")
    (unnamed.parent / "notes.txt").write_text("no content")
    damaged = former.former_path(formerly.sha256)
    damaged.write_bytes(CONTENT.swapcase())
    migrate(pair.source)
    report = former.adopt_former(pair.source)
    assert report.facts_for_json == {"moved": 0, "damaged": 1, "unnamed": 1}
    assert unnamed.exists()
    assert damaged.exists()
    assert not Content.objects.using(pair.source).exists()
    with pytest.raises(LocalContentMissing, match="are not"):
        open_content(pair.source, formerly)
