"""Bytes by their SHA-256, below MEDIA_ROOT. The one place where exports and imports touch files.

Written to a temporary file, synced and renamed, so that a name never stands for half the bytes; verified when read.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.conf import settings

from sync_api.exceptions import LocalContentMissing

CHUNK = 256 * 1024
FOLDER = "exchanged"


@dataclass(frozen=True, slots=True)
class Stored:
    """What was stored."""

    sha256: str
    md5: str
    size: int


class Unfit(Exception):
    """The bytes are not those that were declared; nothing was stored."""


def put(chunks: Iterable[bytes], *, md5: str | None = None, size: int | None = None) -> Stored:
    """Store the bytes; Unfit unless they are of `md5` and `size`. The same bytes again mend what was damaged."""
    folder = root()
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".incoming-")
    try:
        with os.fdopen(handle, "wb") as target:
            stored = copy(chunks, target, size_max=size)
            target.flush()
            os.fsync(target.fileno())
        if (md5 is not None and stored.md5 != md5) or (size is not None and stored.size != size):
            raise Unfit
        final = path_of(stored.sha256)
        final.parent.mkdir(exist_ok=True)
        os.replace(name, final)
        sync_folder(final.parent)
        return stored
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise


def copy(chunks: Iterable[bytes], target: IO[bytes], *, size_max: int | None) -> Stored:
    strong, weak, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    for chunk in chunks:
        size += len(chunk)
        if size_max is not None and size > size_max:
            raise Unfit
        strong.update(chunk)
        weak.update(chunk)
        target.write(chunk)
    return Stored(strong.hexdigest(), weak.hexdigest(), size)


def is_there(sha256: str, size: int) -> bool:
    """Whether there is a file of that name and size; its bytes are not read."""
    try:
        return path_of(sha256).stat().st_size == size
    except FileNotFoundError:
        return False


def is_whole(sha256: str, size: int) -> bool:
    """Whether the bytes are there and are what they are called. Reads them."""
    if not is_there(sha256, size):
        return False
    with path_of(sha256).open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest() == sha256


def open_verified(name: str, sha256: str, size: int) -> IO[bytes]:
    """The bytes, from the beginning. LocalContentMissing when they are not there, or not whole."""
    path = path_of(sha256)
    try:
        source = path.open("rb")
    except FileNotFoundError:
        raise LocalContentMissing(name=name, what="are not") from None
    if os.fstat(source.fileno()).st_size != size or hashlib.file_digest(source, "sha256").hexdigest() != sha256:
        source.close()
        raise LocalContentMissing(name=name, what="are damaged")
    source.seek(0)
    return source


def discard(sha256: str) -> None:
    """Remove the bytes. Only for what no record needs any more, after the commit that said so."""
    with suppress(FileNotFoundError):
        path_of(sha256).unlink()


def path_of(sha256: str) -> Path:
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise ValueError("not a SHA-256")
    return root() / sha256[:2] / sha256


def root() -> Path:
    return Path(settings.MEDIA_ROOT) / FOLDER


def sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
