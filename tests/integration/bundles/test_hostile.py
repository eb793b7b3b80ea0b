"""A file is taken whole or not at all: cut, changed, forged or full of tricks, it changes nothing."""

from __future__ import annotations

import hashlib
import io
import os
import resource
import shutil
import signal
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from sync_api import exceptions as errors
from sync_api.bundles.archive import ArchiveWriter
from sync_api.bundles.export import export_bundle
from sync_api.bundles.importing import import_bundle
from sync_api.bundles.manifest import BUNDLE, MANIFEST, STATEMENTS, batch_name
from sync_api.bundles.reading import opened
from sync_api.models import Bundle, LocalDevice
from sync_api.wire.certificates import signed
from sync_api.wire.keys import device_keys
from tests.integration.bundles.conftest import DATABASES, LAPTOP, World

pytestmark = [
    pytest.mark.django_db(databases=DATABASES, transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
REFUSED = (errors.BundleDamaged, errors.BundleUntrusted, errors.BundleUnreadable)


def refuses(world: World, content: bytes, match: str | None = None) -> None:
    """The site refuses this file, as a whole and with nothing changed but the history."""
    path = world.stick / "tried.zip"
    path.write_bytes(content)
    before = world.everything(world.site)
    with pytest.raises(REFUSED, match=match):
        import_bundle(world.site, path)
    assert world.everything(world.site) == before


def taken_apart(content: bytes) -> dict[str, bytes]:
    """The entries of a bundle, by name."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def put_together(entries: dict[str, bytes], path: Path) -> bytes:
    with path.open("wb") as file:
        archive = ArchiveWriter(file)
        for name, content in entries.items():
            archive.add(name, content)
        archive.finish()
    return path.read_bytes()


def resigned(manifest: bytes, signer: str = LAPTOP, **changes: Any) -> bytes:
    facts = {**orjson.loads(manifest), **changes}
    return orjson.dumps(signed(BUNDLE, facts, device_keys(signer)), option=orjson.OPT_SORT_KEYS)


def every(world: World) -> int:
    """Reading asks no database: at every byte once, and with the second database now and then."""
    return 1 if world.site == "server" else 53


def unreadable(world: World, content: bytes) -> None:
    """The reader, which knows no database, refuses this file."""
    path = world.stick / "tried.zip"
    path.write_bytes(content)
    with pytest.raises(errors.BundleDamaged), opened(path):
        pass


def test_cut_off_at_any_byte_it_is_refused(world: World) -> None:
    world.batches(1)
    whole = world.bundle()
    for length in range(0, len(whole), every(world)):
        unreadable(world, whole[:length])
    for length in range(0, len(whole), 211):
        refuses(world, whole[:length])
    refuses(world, whole + b"\0")


def test_with_any_byte_changed_it_is_refused(world: World) -> None:
    world.batches(1)
    whole = world.bundle()
    for place in range(0, len(whole), every(world)):
        unreadable(world, whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
    for place in range(0, len(whole), 211):
        refuses(world, whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])


@pytest.mark.parametrize("name", ["../../batch", "/etc/passwd", "batches/../x", "batches/000002.batch", "BATCHES/1"])
def test_names_from_the_archive_are_never_paths(world: World, name: str) -> None:
    world.batches(1)
    entries = taken_apart(world.bundle())
    entries[name] = entries.pop(batch_name(1))
    refuses(world, put_together(entries, world.stick / "x"), match="something else")


def test_an_entry_that_the_manifest_does_not_list_is_refused(world: World) -> None:
    world.batches(1)
    entries = taken_apart(world.bundle())
    refuses(world, put_together({**entries, "more": b"x"}, world.stick / "x"))


def test_a_link_in_the_archive_is_refused(world: World) -> None:
    world.batches(1)
    entries = taken_apart(world.bundle())
    with zipfile.ZipFile(world.stick / "x", "w") as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, content)
    refuses(world, (world.stick / "x").read_bytes())


def test_a_bomb_is_refused_unread(world: World) -> None:
    with zipfile.ZipFile(world.stick / "x", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, b" " * 100_000_000)
    refuses(world, (world.stick / "x").read_bytes())


def test_a_batch_that_bursts_when_it_is_unpacked_is_refused(world: World, settings: Any) -> None:
    world.batches(1)
    whole = world.bundle()
    settings.SYNC_CONTENT_BYTES_MAX = 100
    refuses(world, whole, match="does not decode")


def test_larger_than_the_limit_it_is_refused_unread(world: World, settings: Any) -> None:
    world.batches(1)
    whole = world.bundle()
    settings.SYNC_BUNDLE_BYTES_MAX = len(whole) - 1
    refuses(world, whole, match="SYNC_BUNDLE_BYTES_MAX")


def test_a_link_in_place_of_the_file_is_not_followed(world: World) -> None:
    world.batches(1)
    (world.stick / "real").write_bytes(world.bundle())
    (world.stick / "link.zip").symlink_to(world.stick / "real")
    with pytest.raises(errors.BundleUnreadable, match="link"):
        import_bundle(world.site, world.stick / "link.zip")


def test_a_pipe_does_not_keep_the_import_waiting(world: World) -> None:
    os.mkfifo(world.stick / "pipe.zip")
    with pytest.raises(errors.BundleUnreadable, match="ordinary"):
        import_bundle(world.site, world.stick / "pipe.zip")


def test_a_manifest_signed_by_another_key_is_refused(world: World) -> None:
    world.batches(1)
    entries = taken_apart(world.bundle())
    entries[MANIFEST] = resigned(entries[MANIFEST], signer="test-stranger")
    refuses(world, put_together(entries, world.stick / "x"), match="signature")


def test_an_exporter_whom_no_trusted_server_certified_is_refused(world: World) -> None:
    world.batches(1)
    entries = taken_apart(world.bundle())
    own = {"device": "test-stranger", "public_key": device_keys("test-stranger").public_hex}
    certificate = {**orjson.loads(entries[MANIFEST])["certificate"], **own}
    changes = {"exporter": "test-stranger", "certificate": certificate}
    entries[MANIFEST] = resigned(entries[MANIFEST], signer="test-stranger", **changes)
    with pytest.raises(errors.BundleUntrusted):
        (world.stick / "tried.zip").write_bytes(put_together(entries, world.stick / "x"))
        import_bundle(world.site, world.stick / "tried.zip")
    assert world.held(world.site) == []


def test_a_batch_that_its_exporter_made_up_is_refused(world: World) -> None:
    """Even an exporter that signs what it likes cannot alter a batch."""
    world.batches(1)
    entries = taken_apart(world.bundle())
    content = bytearray(entries[batch_name(1)])
    content[10] ^= 1
    entries[batch_name(1)] = bytes(content)
    listed = orjson.loads(entries[MANIFEST])["batches"]
    listed[0]["sha256"] = hashlib.sha256(content).hexdigest()
    entries[MANIFEST] = resigned(entries[MANIFEST], batches=listed)
    refuses(world, put_together(entries, world.stick / "x"), match="not signed by the key")


@pytest.mark.parametrize(
    "changes",
    [
        {"piece": 2},
        {"piece": True},
        {"format": 2},
        {"bundle": "../x"},
        {"made_at": "yesterday"},
        {"more": 1},
        {"batches": {}},
        {"statements": {"size": -1, "sha256": "0" * 64}},
        {"statements": {"size": 2**40, "sha256": "0" * 64}},
    ],
    ids=str,
)
def test_a_signed_manifest_of_another_form_is_refused(world: World, changes: dict[str, Any]) -> None:
    world.batches(1)
    entries = taken_apart(world.bundle())
    entries[MANIFEST] = resigned(entries[MANIFEST], **changes)
    refuses(world, put_together(entries, world.stick / "x"))


def test_a_batch_listed_twice_is_refused(world: World) -> None:
    world.batches(1)
    entries = taken_apart(world.bundle())
    listed = orjson.loads(entries[MANIFEST])["batches"] * 2
    entries[MANIFEST] = resigned(entries[MANIFEST], batches=listed)
    entries[batch_name(2)] = entries[batch_name(1)]
    refuses(world, put_together(entries, world.stick / "x"), match="twice")


def test_statements_that_are_no_list_are_refused(world: World) -> None:
    world.batches(1)
    entries = taken_apart(world.bundle())
    assert list(entries) == [MANIFEST, STATEMENTS, batch_name(1)]
    spoiled = b'{"a":[[[[1]]]]}'
    told = {"size": len(spoiled), "sha256": hashlib.sha256(spoiled).hexdigest()}
    entries = {**entries, MANIFEST: resigned(entries[MANIFEST], statements=told), STATEMENTS: spoiled}
    refuses(world, put_together(entries, world.stick / "x"), match="list")


def test_a_refusal_is_in_the_history_with_its_code(world: World) -> None:
    refuses(world, b"no bundle")
    row = Bundle.objects.using(world.site).get()
    assert (row.state, row.code, row.confirmation) == ("failed", "bundle_damaged", "")


# --- the stick is full -----------------------------------------------------------------------------------------------


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """The operating system lets no file of this process grow beyond `size`: writing fails half-way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("world", ["postgresql"], indirect=True)  # SQLite's own files would hit the limit as well
def test_a_stick_that_fails_half_way_keeps_no_half_file(world: World) -> None:
    world.batches(3)
    with files_at_most(2_000), pytest.raises(errors.BundleNotWritten, match="No half file"):
        world.export(world.laptop)
    assert list(world.stick.iterdir()) == []
    row = Bundle.objects.using(world.laptop).get()
    assert (row.direction, row.state, row.code) == ("exported", "failed", "bundle_not_written")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_gives_up_at_the_end_keeps_no_half_file(
    world: World, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    world.batches(1)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(errors.BundleNotWritten, match="No space left"):
            world.export(world.laptop)
    assert list(world.stick.iterdir()) == []


def test_a_stick_without_room_is_told_before_anything_is_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.batches(1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))  # type: ignore[attr-defined]
    with pytest.raises(errors.BundleNotWritten, match="room for 10 bytes"):
        world.export(world.laptop)
    assert list(world.stick.iterdir()) == []


def test_a_folder_that_is_not_there_is_one_sentence(world: World) -> None:
    world.batches(1)
    with pytest.raises(errors.BundleNotWritten):
        export_bundle(world.laptop, world.stick / "gone")


# --- the three defects of the seed's files ---------------------------------------------------------------------------


def test_defect_12_a_failed_export_does_not_poison_the_chain(world: World) -> None:
    """edc-sync refused every later batch after an export that failed."""
    world.batches(2)
    with pytest.raises(errors.BundleNotWritten):
        export_bundle(world.laptop, world.stick / "gone")
    world.batches(1)
    world.export(world.laptop)
    (report,) = world.bring(world.site)
    assert report.stored == 3
    assert world.held(world.site) == world.sealed()


def test_defect_13_nothing_is_marked_as_consumed_before_the_server_has_it(world: World) -> None:
    """edc-sync marked transactions as consumed when the file was made, before it was sent."""
    world.batches(2)
    world.export(world.laptop)
    world.files()[0].unlink()
    device = LocalDevice.objects.using(world.laptop).get(name=LAPTOP)
    assert device.acknowledged_number == 0
    assert world.export(world.laptop).batches == 2
    (report,) = world.bring(world.site)
    assert report.stored == 2
