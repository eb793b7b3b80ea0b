"""Where contents lie: a folder of this machine, or any Django storage.

`STORAGES["sync_contents"]` names another storage (S3 through django-storages); without it contents lie below
`SYNC_FILES_DIR`. Parts of uploads and everything that is not checked yet lie in `SYNC_FILES_DIR` either way.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

from django.conf import settings
from django.core.files import File
from django.core.files.storage import storages

from sync_api.conf import alias_settings, files_directory, limit
from sync_api.exceptions import FilesDiskFull

STORAGE = "sync_contents"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Place(Protocol):
    """Keeps contents by their hash."""

    def put(self, part: Path, sha256: str) -> None:
        """Keep the bytes of this file, which are on the disk; then it is gone. What was there is replaced."""

    def open(self, sha256: str) -> IO[bytes]:
        """The bytes, seekable. FileNotFoundError."""

    def has(self, sha256: str) -> bool: ...

    def remove(self, sha256: str) -> None:
        """Remove the bytes, if they are there."""


class Folder:
    """A folder of this machine: contents appear whole or not at all, and stay through a power cut."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256

    def put(self, part: Path, sha256: str) -> None:
        target = self.path(sha256)
        with room_errors():
            if not target.parent.is_dir():
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                sync_folder(self.root)
            os.replace(part, target)
            sync_folder(target.parent)

    def open(self, sha256: str) -> IO[bytes]:
        return self.path(sha256).open("rb")

    def has(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def remove(self, sha256: str) -> None:
        with suppress(FileNotFoundError):
            self.path(sha256).unlink()

    def all(self) -> Iterator[tuple[str, float]]:
        """Every content that lies here, with its time of change."""
        for folder in sorted(self.root.iterdir()) if self.root.is_dir() else ():
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                with suppress(FileNotFoundError):
                    yield path.name, path.stat().st_mtime


class InStorage:
    """Any Django storage. Its own promise of whole files counts: S3 shows an object when all of it is there."""

    def __init__(self, storage: Any, prefix: str) -> None:
        self.storage = storage
        self.prefix = prefix

    def name(self, sha256: str) -> str:
        return f"{self.prefix}/{sha256[:2]}/{sha256}"

    def put(self, part: Path, sha256: str) -> None:
        name = self.name(sha256)
        with room_errors():
            self.storage.delete(name)
            with part.open("rb") as file:
                kept = self.storage.save(name, File(file, name=name))
        if kept != name:  # somebody else's file has the name: nothing may point to another one
            self.storage.delete(kept)
            raise FilesDiskFull(what="the storage gave the file another name")
        part.unlink()

    def open(self, sha256: str) -> IO[bytes]:
        name = self.name(sha256)
        if not self.storage.exists(name):
            raise FileNotFoundError(sha256)
        opened: IO[bytes] = self.storage.open(name, "rb")
        return opened

    def has(self, sha256: str) -> bool:
        return bool(self.storage.exists(self.name(sha256)))

    def remove(self, sha256: str) -> None:
        self.storage.delete(self.name(sha256))


def place_of(alias: str) -> Folder | InStorage:
    """Where this installation's contents lie."""
    if STORAGE in settings.STORAGES:
        return InStorage(storages[STORAGE], alias_settings(alias).device or alias)
    return Folder(files_directory(alias) / "contents")


def parts_folder(alias: str) -> Path:
    """Where bytes lie that are not checked yet; made for the owner alone."""
    folder = files_directory(alias) / "parts"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


@contextmanager
def new_part(alias: str, size: int | None = None) -> Iterator[tuple[Path, IO[bytes]]]:
    """A new part file, open to be written; gone afterwards, unless it was put in its place. FilesDiskFull."""
    with room_errors():
        check_room(alias, size or 0)
        path = parts_folder(alias) / f"{secrets.token_hex(16)}.new"
        try:
            with open(path, "xb", opener=for_the_owner) as file:
                yield path, file
        finally:
            with suppress(FileNotFoundError):
                path.unlink()


def check_room(alias: str, size: int) -> None:
    """FilesDiskFull unless so many bytes leave SYNC_FILES_FREE_BYTES_MIN on the disk."""
    free = shutil.disk_usage(parts_folder(alias)).free - int(limit("SYNC_FILES_FREE_BYTES_MIN"))
    if size > free:
        raise FilesDiskFull(what=f"{max(free, 0)} bytes are free for files, and {size} are needed")


@contextmanager
def room_errors() -> Iterator[None]:
    """A full disk in words."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise FilesDiskFull(what=error.strerror or "the disk is full") from error


def for_the_owner(path: str, flags: int) -> int:
    """Open a file that other accounts of this machine cannot read: it holds study data."""
    return os.open(path, flags, 0o600)


def sync_folder(folder: Path) -> None:
    """Bring a renaming to the disk, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
