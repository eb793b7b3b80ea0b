"""Brings a file to a folder whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sync_api.exceptions import BundleNotWritten

TEMPORARY_PREFIX = ".sync-"
TEMPORARY_SUFFIX = ".part"
LEFT_OVER_SECONDS = 24 * 3600


def write_whole(folder: Path, name: str, size: int, fill: Callable[[BinaryIO], None]) -> Path:
    """Have `fill` write a new file `name` in `folder`: under a temporary name, brought to the disk, then renamed.

    BundleNotWritten when the folder is not there, has less room than `size`, or fails while it is written; then
    nothing is left in it. A file of that name is replaced.
    """
    with writing_errors(folder):
        remove_left_over(folder)
        free = shutil.disk_usage(folder).free
        if free < size:
            raise BundleNotWritten(folder=str(folder), what=f"it has room for {free} bytes, and {size} are needed")
        temporary = folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
        try:
            with open(temporary, "xb", opener=for_the_owner) as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, folder / name)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(folder)
    return folder / name


@contextmanager
def writing_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BundleNotWritten(folder=str(folder), what=error.strerror or str(error)) from error


def sync_folder(folder: Path) -> None:
    """Bring the renaming to the disk, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def for_the_owner(path: str, flags: int) -> int:
    """Open a file that other accounts of this machine cannot read: it holds study data."""
    return os.open(path, flags, 0o600)


def remove_left_over(folder: Path) -> None:
    """Remove temporary files of exports that were killed long ago."""
    for path in folder.glob(f"{TEMPORARY_PREFIX}*{TEMPORARY_SUFFIX}"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFT_OVER_SECONDS:
                path.unlink()
