"""Unattended import: whatever lies in `incoming` ends in `done` or `failed`, and each file has its turn."""

from __future__ import annotations

import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from sync_api.bundles.folders import import_folder, watch_folder
from sync_api.models import Bundle
from tests.integration.bundles.conftest import DATABASES, World

pytestmark = [
    pytest.mark.django_db(databases=DATABASES, transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]


@pytest.fixture
def post(world: World, tmp_path: Path) -> Path:
    """The folder with its `incoming`."""
    (tmp_path / "post" / "incoming").mkdir(parents=True)
    return tmp_path / "post"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def test_defect_11_one_bad_file_does_not_stop_the_others(world: World, post: Path) -> None:
    """edc-sync's observer ended at the first bad file."""
    world.batches(1)
    (post / "incoming" / "b-good.zip").write_bytes(world.bundle())
    (post / "incoming" / "a-bad.zip").write_bytes(b"PK\x03\x04 nonsense")
    (post / "incoming" / "c-empty").write_bytes(b"")
    (post / "incoming" / "d-link.zip").symlink_to("/etc/passwd")
    (post / "incoming" / os.fsdecode(b"e-\xff\xfe.zip")).write_bytes(b"x")
    (post / "incoming" / "f-folder").mkdir()
    os.mkfifo(post / "incoming" / "g-pipe")
    report = import_folder(world.site, post)
    assert [one.stored for one in report.done] == [1]
    assert len(report.failed) == 5
    assert names(post / "incoming") == ["f-folder"]
    assert names(post / "done") == ["b-good.zip"]
    assert "a-bad.zip" in names(post / "failed")
    reason = (post / "failed" / "a-bad.zip.txt").read_text()
    assert "not a whole bundle" in reason
    assert Bundle.objects.using(world.site).filter(state="failed").count() == 5
    assert world.held(world.site) == world.sealed()


def test_a_name_that_is_taken_gets_a_number(world: World, post: Path) -> None:
    world.batches(1)
    content = world.bundle()
    for _ in range(2):
        (post / "incoming" / "one.zip").write_bytes(content)
        import_folder(world.site, post)
    assert names(post / "done") == ["one-2.zip", "one.zip"]


def test_unfinished_files_of_other_programs_are_left(world: World, post: Path) -> None:
    (post / "incoming" / ".hidden").write_bytes(b"x")
    (post / "incoming" / "copying.zip.part").write_bytes(b"x")
    report = import_folder(world.site, post)
    assert (report.done, report.failed) == ([], {})
    assert len(names(post / "incoming")) == 2


def test_a_file_that_still_grows_is_left_for_the_next_pass(
    world: World, post: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.batches(1)
    content = world.bundle()
    path = post / "incoming" / "one.zip"
    path.write_bytes(content[:50])
    monkeypatch.setattr("time.sleep", lambda seconds: path.write_bytes(content))
    assert import_folder(world.site, post, settle_seconds=60).done == []
    os.utime(path, (1, 1))
    assert len(import_folder(world.site, post, settle_seconds=60).done) == 1


def test_pieces_that_wait_for_another_are_taken_in_the_same_pass(world: World, post: Path, settings: Any) -> None:
    settings.SYNC_EARLY_BATCHES_MAX = 1
    world.batches(6)
    size = len(world.bundle())
    for place, one in enumerate(reversed(world.export(world.laptop, piece_bytes=size // 2 + 1_400).files)):
        (world.stick / one.name).rename(post / "incoming" / f"{place}.zip")
    report = import_folder(world.site, post)
    assert (report.failed, report.waiting) == ({}, {})
    assert world.held(world.site) == world.sealed()


def test_what_waits_for_a_piece_that_is_not_there_stays(world: World, post: Path, settings: Any) -> None:
    settings.SYNC_EARLY_BATCHES_MAX = 1
    world.batches(6)
    size = len(world.bundle())
    files = world.export(world.laptop, piece_bytes=size // 2 + 1_400).files
    (world.stick / files[-1].name).rename(post / "incoming" / "last.zip")
    for _ in range(2):
        assert list(import_folder(world.site, post).waiting) == ["last.zip"]
    assert names(post / "incoming") == ["last.zip"]
    assert Bundle.objects.using(world.site).count() == 1
    (world.stick / files[0].name).rename(post / "incoming" / "first.zip")
    import_folder(world.site, post)
    assert world.held(world.site) == world.sealed()


def test_watching_tells_of_each_pass_that_did_something(world: World, post: Path, settings: Any) -> None:
    settings.SYNC_BUNDLE_WATCH_SECONDS = 0
    world.batches(1)
    content = world.bundle()
    told: list[int] = []
    passes = iter(range(3))

    def again() -> bool:
        here = next(passes, None)
        if here == 0:
            (post / "incoming" / "late.zip").write_bytes(content)
        return here is not None

    watch_folder(world.site, post, lambda report: told.append(len(report.done)), again=again)
    assert told == [1]


def test_the_command_imports_a_folder_and_fails_when_a_file_failed(world: World, post: Path) -> None:
    world.batches(1)
    (post / "incoming" / "good.zip").write_bytes(world.bundle())
    said = json.loads(run("import_bundle", "--json", folder=str(post), database=world.site))
    assert [one["stored"] for one in said["done"]] == [1]
    (post / "incoming" / "bad.zip").write_bytes(b"x")
    with pytest.raises(CommandError, match="This file is not a whole bundle"):
        run("import_bundle", folder=str(post), database=world.site)


def test_the_commands_carry_a_code_from_importer_to_exporter(world: World) -> None:
    world.batches(2)
    assert "Wrote 2 batches" in run("export_bundle", "--piece-size", "1MB", to=str(world.stick), database=world.laptop)
    (path,) = world.files()
    said = run("import_bundle", str(path), database=world.site)
    assert "2 batches stored" in said
    code = said.strip().rsplit(" ", 1)[1]
    assert "is confirmed" in run("export_bundle", "--confirm", code, database=world.laptop)


@pytest.mark.parametrize(
    "arguments",
    [
        ["export_bundle"],
        ["export_bundle", "--to", "x", "--confirm", "y"],
        ["export_bundle", "--to", "x", "--piece-size", "small"],
        ["import_bundle"],
        ["import_bundle", "nowhere.zip"],
        ["import_bundle", "a", "--folder", "b"],
        ["backup_unsent"],
        ["backup_unsent", "--restore", "x", "--watch"],
    ],
    ids=" ".join,
)
def test_a_user_s_mistake_is_one_sentence(world: World, arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        run(*arguments, database=world.laptop)
