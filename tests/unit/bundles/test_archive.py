"""The archive has one form: whatever else a ZIP file can be is refused."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_api.bundles.archive import ArchiveReader, ArchiveWriter
from sync_api.exceptions import BundleDamaged

FILES = {"manifest.json": b'{"a":1}', "statements.json": b"[]", "batches/000001.batch": bytes(range(200))}


def written(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    archive = ArchiveWriter(file)
    for name, content in files.items():
        archive.add(name, content)
    archive.finish()
    return file.getvalue()


def read(content: bytes) -> dict[str, bytes]:
    archive = ArchiveReader(io.BytesIO(content))
    found = {name: archive.next(name, size_max=1_000) for name in FILES}
    archive.finish()
    return found


def zipped(fill: Callable[[zipfile.ZipFile], None], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        fill(archive)
    return file.getvalue()


def test_what_is_written_is_read() -> None:
    assert read(written(FILES)) == FILES


def test_any_zip_program_can_open_it() -> None:
    with zipfile.ZipFile(io.BytesIO(written(FILES))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == FILES


def test_cut_off_at_any_byte_it_is_refused() -> None:
    whole = written(FILES)
    for length in range(len(whole)):
        with pytest.raises(BundleDamaged):
            read(whole[:length])


def test_with_any_byte_changed_it_is_refused() -> None:
    whole = written(FILES)
    for place in range(len(whole)):
        for bit in (1, 0x80):
            spoiled = bytearray(whole)
            spoiled[place] ^= bit
            with pytest.raises(BundleDamaged):
                read(bytes(spoiled))


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
def test_with_bytes_put_in_anywhere_it_is_refused(place: int, more: bytes) -> None:
    whole = written(FILES)
    place %= len(whole) + 1
    with pytest.raises(BundleDamaged):
        read(whole[:place] + more + whole[place:])


@pytest.mark.parametrize(
    "name", ["../manifest.json", "/manifest.json", "..\\manifest.json", "C:\\manifest.json", "Manifest.json", "./a"]
)
def test_a_name_that_was_not_expected_is_refused(name: str) -> None:
    with pytest.raises(BundleDamaged, match="something else"):
        read(written({name: b"x", **{own: FILES[own] for own in list(FILES)[1:]}}))


def test_a_second_entry_of_one_name_is_refused() -> None:
    twice = io.BytesIO()
    archive = ArchiveWriter(twice)
    for name in ["manifest.json", *FILES]:
        archive.add(name, FILES[name])
    archive.finish()
    with pytest.raises(BundleDamaged):
        read(twice.getvalue())


def test_a_compressed_entry_is_refused_unread() -> None:
    bomb = zipped(lambda archive: archive.writestr("manifest.json", b"\0" * 50_000_000), zipfile.ZIP_DEFLATED)
    assert len(bomb) < 100_000
    with pytest.raises(BundleDamaged, match="something else"):
        read(bomb)


def test_a_link_is_refused() -> None:
    def fill(archive: zipfile.ZipFile) -> None:
        link = zipfile.ZipInfo("manifest.json")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, b"/etc/passwd")

    with pytest.raises(BundleDamaged):
        read(zipped(fill))


def test_another_programs_archive_of_the_same_files_is_refused() -> None:
    def fill(archive: zipfile.ZipFile) -> None:
        for name, content in FILES.items():
            archive.writestr(name, content)

    with pytest.raises(BundleDamaged):
        read(zipped(fill))


def test_an_entry_over_its_limit_is_refused_before_it_is_read() -> None:
    whole = written({"manifest.json": b"x" * 2_000})
    file = io.BytesIO(whole)
    with pytest.raises(BundleDamaged, match="over the limit"):
        ArchiveReader(file).next("manifest.json", size_max=1_000)
    assert file.tell() < 100
