"""Reads a bundle and checks all of it: nothing of a file is used before the whole file was found right."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from sync_api.bundles.archive import ArchiveReader, Entry
from sync_api.bundles.manifest import (
    MANIFEST,
    STATEMENTS,
    Listed,
    ListedContent,
    Manifest,
    batch_name,
    content_name,
    read_manifest,
)
from sync_api.conf import limit
from sync_api.exceptions import BundleDamaged, BundleUnreadable, SyncError
from sync_api.wire.format import decode
from sync_api.wire.header import read_header


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle whose structure, sizes, hashes and signatures hold. Whom to trust is not decided here."""

    file: BinaryIO
    name: str
    manifest: Manifest
    statements: list[dict[str, Any]]
    entries: list[Entry]
    size: int
    sha256: str

    def batches(self) -> Iterator[tuple[Listed, bytes]]:
        """The batches in the file's order, one in memory. BundleDamaged when the file changed since it was opened."""
        for batch, entry in zip(self.manifest.batches, self.entries[: len(self.manifest.batches)], strict=True):
            with reading_errors(self.name):
                self.file.seek(entry.begins)
                content = self.file.read(entry.size)
            if hashlib.sha256(content).hexdigest() != batch.sha256:
                raise BundleDamaged(what="it was changed while it was read")
            yield batch, content

    def contents(self) -> Iterator[tuple[ListedContent, Iterator[bytes]]]:
        """The bytes of files, each part by part. They were checked with the whole file; check them again."""
        for listed, entry in zip(self.manifest.files, self.entries[len(self.manifest.batches) :], strict=True):
            yield listed, self.parts(entry)

    def parts(self, entry: Entry) -> Iterator[bytes]:
        place, at_once = entry.begins, int(limit("SYNC_FILE_CHUNK_BYTES"))
        while place < entry.ends:
            with reading_errors(self.name):
                self.file.seek(place)
                part = self.file.read(min(at_once, entry.ends - place))
            if not part:
                raise BundleDamaged(what="it was changed while it was read")
            place += len(part)
            yield part


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open and check a file. BundleUnreadable, BundleDamaged, or the error of a batch in it; touches no database."""
    with ordinary_file(path) as file:
        with reading_errors(path.name):
            found = checked(file, path.name)
        yield found


def checked(file: BinaryIO, name: str) -> Opened:
    size = os.fstat(file.fileno()).st_size
    if size > int(limit("SYNC_BUNDLE_BYTES_MAX")):
        raise BundleDamaged(what=f"it has {size} bytes, more than SYNC_BUNDLE_BYTES_MAX allows")
    digest = hashlib.sha256()
    archive = ArchiveReader(file, digest.update)
    manifest_max = int(limit("SYNC_BUNDLE_MANIFEST_BYTES_MAX"))
    manifest = read_manifest(archive.next(MANIFEST, size_max=min(size, manifest_max)))
    told = manifest.statements
    content = archive.next(STATEMENTS, size=told["size"], size_max=min(size, manifest_max))
    check_hash(STATEMENTS, content, told["sha256"])
    statements = statements_in(content)
    for place, batch in enumerate(manifest.batches, 1):
        batch_content = archive.next(batch_name(place), size=batch.size, size_max=size)
        check_hash(batch_name(place), batch_content, batch.sha256)
        check_batch(batch, batch_content)
    for place, listed in enumerate(manifest.files, 1):
        check_content(archive, content_name(place), listed)
    archive.finish()
    return Opened(file, name, manifest, statements, archive.entries[2:], size, digest.hexdigest())


def check_content(archive: ArchiveReader, name: str, listed: ListedContent) -> None:
    found = hashlib.sha256()
    archive.next_parts(name, size=listed.size, at_once=int(limit("SYNC_FILE_CHUNK_BYTES")), take=found.update)
    if found.hexdigest() != listed.sha256:
        raise BundleDamaged(what=f"the content of '{name}' is not what the manifest says")


def check_hash(name: str, content: bytes, sha256: str) -> None:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BundleDamaged(what=f"the content of '{name}' is not what the manifest says")


def check_batch(batch: Listed, content: bytes) -> None:
    """The batch is a whole envelope, signed by the key that it names, and the one that the manifest lists."""
    where = f"batch {batch.number} of device '{batch.device}'"
    try:
        envelope = decode(content)
        header = read_header(envelope.header, lines=len(envelope.lines))
    except SyncError as error:
        raise BundleDamaged(what=f"{where} does not decode ({error.code})") from error
    if (header.device, header.epoch, header.number, envelope.hash) != (
        *(batch.device, batch.epoch, batch.number, batch.hash),
    ):
        raise BundleDamaged(what=f"{where} is another one than the manifest says")
    if not envelope.is_signed_by(str(header.certificate.get("public_key"))):
        raise BundleDamaged(what=f"{where} is not signed by the key that it names")


def statements_in(content: bytes) -> list[dict[str, Any]]:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BundleDamaged(what="its statements are not JSON") from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BundleDamaged(what="its statements are not a list of objects")
    return found


@contextmanager
def ordinary_file(path: Path) -> Iterator[BinaryIO]:
    """The file, if it is an ordinary one: links, pipes and devices are not followed. BundleUnreadable."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with reading_errors(path.name):
        descriptor = os.open(path, flags)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BundleUnreadable(name=path.name, what="it is not an ordinary file")
        yield file


@contextmanager
def reading_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = "it is a link" if error.errno == errno.ELOOP else error.strerror or str(error)
        raise BundleUnreadable(name=name, what=what) from error
