"""The content store: once each, whole or not at all, checked on the way in and on the way out."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from sync_api.exceptions import ContentDamaged, ContentMismatch, ContentMissing, FilesDiskFull, FileTooLarge
from sync_api.files.cleaning import clean_files
from sync_api.files.store import ContentStore
from sync_api.models import Content, ContentUse, FileFact
from tests.integration.files.conftest import on_disk

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])
BYTES = b"a photo" * 1_000
SHA256 = hashlib.sha256(BYTES).hexdigest()


def parts(content: bytes = BYTES) -> list[bytes]:
    return [content[place : place + 1_000] for place in range(0, len(content), 1_000)]


def test_the_same_bytes_twice_are_one_content(server: str, files_folder: Path) -> None:
    store = ContentStore(server)
    first, second = store.take(parts()), store.take(parts(), sha256=SHA256, size=len(BYTES))
    assert first == second
    assert on_disk(files_folder) == [SHA256]
    assert b"".join(store.read(SHA256)) == BYTES
    assert store.by_md5(hashlib.md5(BYTES).hexdigest(), len(BYTES)) == SHA256
    assert store.lacking({SHA256, "0" * 64}) == {"0" * 64}


@pytest.mark.parametrize(
    ("declared", "refusal"),
    [
        ({"sha256": "0" * 64}, ContentMismatch),
        ({"size": len(BYTES) - 1}, ContentMismatch),
        ({"size": len(BYTES) + 1}, ContentMismatch),
        ({"md5": "0" * 32}, ContentMismatch),
        ({"size": len(BYTES), "md5": "0" * 32}, ContentMismatch),
    ],
)
def test_other_bytes_than_declared_leave_nothing(
    server: str, files_folder: Path, declared: dict[str, Any], refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        ContentStore(server).take(parts(), **declared)
    assert on_disk(files_folder) == []
    assert not Content.objects.using(server).exists()


def test_a_file_over_the_limit_and_a_full_disk_leave_nothing(server: str, files_folder: Path, settings: Any) -> None:
    settings.SYNC_FILE_BYTES_MAX = 5_000
    with pytest.raises(FileTooLarge):
        ContentStore(server).take(parts())
    settings.SYNC_FILES_FREE_BYTES_MIN = 2**60
    with pytest.raises(FilesDiskFull):
        ContentStore(server).take(parts(b"short"))
    assert on_disk(files_folder) == []


def test_changed_bytes_are_never_given_out_whole_and_are_wanted_again(server: str, files_folder: Path) -> None:
    store = ContentStore(server)
    store.take(parts())
    (path,) = list(files_folder.rglob(SHA256))
    path.write_bytes(BYTES[:-1] + b"!")
    given = b""
    with pytest.raises(ContentDamaged):
        for part in store.read(SHA256):
            given += part
    assert len(given) < len(BYTES)
    assert store.lacking({SHA256}) == {SHA256}
    with pytest.raises(ContentMissing):
        store.open(SHA256)
    store.take(parts())
    assert b"".join(store.read(SHA256)) == BYTES


def test_any_django_storage_can_keep_the_contents(server: str, files_folder: Path, settings: Any) -> None:
    location = files_folder.parent / "bucket"
    settings.STORAGES = {
        **settings.STORAGES,
        "sync_contents": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(location)},
        },
    }
    store = ContentStore(server)
    store.take(parts())
    store.take(parts())
    assert [path.name for path in location.rglob("*") if path.is_file()] == [SHA256]
    assert on_disk(files_folder) == []
    assert b"".join(store.read(SHA256)) == BYTES
    with store.open(SHA256) as file:
        file.seek(3)
        assert file.read(4) == BYTES[3:7]
    long_ago(server)
    assert clean_files(server).contents == 1
    assert [path for path in location.rglob("*") if path.is_file()] == []


def long_ago(alias: str) -> None:
    Content.objects.using(alias).update(touched_at=timezone.now() - timedelta(days=9))


def a_fact(alias: str, sha256: str = SHA256, **facts: Any) -> FileFact:
    told = {"device": "laptop-9", "epoch": "ab" * 16, "number": 1, "label": "study.participant", "field": "photo"}
    told |= {"name_digest": "cd" * 32, "sha256": sha256, "size": len(BYTES), "media_type": "image/jpeg", **facts}
    return FileFact.objects.using(alias).create(**told)


def test_cleaning_keeps_what_a_fact_or_a_use_names_and_what_is_new(server: str, files_folder: Path) -> None:
    store = ContentStore(server)
    named, used, new, old = (store.take([text]).sha256 for text in (b"named", b"used", b"new", b"old"))
    a_fact(server, named)
    ContentUse.objects.using(server).create(sha256=used, user="tests", key="1")
    long_ago(server)
    Content.objects.using(server).filter(pk=new).update(touched_at=timezone.now())
    assert (clean_files(server, dry_run=True).contents, store.holds(old)) == (1, True)
    report = clean_files(server)
    assert (report.contents, report.bytes) == (1, 3)
    assert on_disk(files_folder) == sorted([named, used, new])
    ContentUse.objects.using(server).all().delete()
    assert clean_files(server).contents == 1
    assert store.holds(named)


def test_cleaning_removes_what_kills_left_and_nothing_young(
    server: str, files_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    store = ContentStore(server)
    kept = store.take(parts()).sha256
    a_fact(server)
    stray, part, young = store.place.path("0" * 64), files_folder.rglob("parts").__next__() / "x.new", "y.new"
    stray.parent.mkdir(parents=True)
    for path in (stray, part):
        path.write_bytes(b"left")
        os.utime(path, (1, 1))
    (part.parent / young).write_bytes(b"being written")
    assert clean_files(server).strays == 2
    assert on_disk(files_folder) == sorted([kept, young])
