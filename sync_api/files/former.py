"""The folder where the bytes of imports and of the observatory lay before there was one store: MEDIA_ROOT/exchanged.

Until `adopt_files` moved them they are read there, and nothing new is written there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from django.conf import settings

from sync_api.exceptions import ContentDamaged, ContentMismatch, ContentMissing
from sync_api.files.places import sync_folder
from sync_api.files.store import ContentStore, chunks_of
from sync_api.models import ContentUse

FOLDER = "exchanged"


@dataclass(slots=True)
class AdoptReport:
    """What became of the files in the folder: moved, damaged (they stay), and named by no row (they stay)."""

    moved: int = 0
    damaged: int = 0
    unnamed: int = 0

    @property
    def facts_for_json(self) -> dict[str, int]:
        return asdict(self)


def open_former(sha256: str) -> IO[bytes] | None:
    """Bytes that were not moved yet, from the beginning; None when they are not there, or not whole."""
    try:
        file = former_path(sha256).open("rb")
    except FileNotFoundError:
        return None
    if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
        file.close()
        return None
    file.seek(0)
    return file


def adopt_former(alias: str, *, keep: bool = False) -> AdoptReport:
    """Move what a use in this database names into its store; with `keep`, copy it. May be killed anywhere and repeated.

    A file is removed only when the store was read and has its bytes. Opens its own transactions. FilesDiskFull.
    """
    report = AdoptReport()
    for path in former_files():
        if not ContentUse.objects.using(alias).filter(sha256=path.name).exists():
            report.unnamed += 1
        elif not adopt(alias, path):
            report.damaged += 1
        else:
            report.moved += 1
            if not keep:
                path.unlink(missing_ok=True)
                sync_folder(path.parent)
                with suppress(OSError):  # there are others in it
                    path.parent.rmdir()
    return report


def adopt(alias: str, path: Path) -> bool:
    """Whether the store has these bytes now."""
    store = ContentStore(alias)
    try:
        store.open_verified(path.name).close()
    except (ContentMissing, ContentDamaged):
        try:
            with path.open("rb") as file:
                store.take(chunks_of(file), sha256=path.name, size=path.stat().st_size)
        except ContentMismatch:
            return False
        store.open_verified(path.name).close()
    return True


def former_files() -> Iterator[Path]:
    """Every content that lies there. What a kill left half written begins with a dot, and counts for nothing."""
    folder = Path(settings.MEDIA_ROOT) / FOLDER
    for path in sorted(folder.glob("??/*")):
        if len(path.name) == 64 and path.is_file():
            yield path


def former_path(sha256: str) -> Path:
    return Path(settings.MEDIA_ROOT) / FOLDER / sha256[:2] / sha256
