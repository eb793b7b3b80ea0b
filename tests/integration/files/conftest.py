"""A place of its own for every test's bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def files_folder(tmp_path: Path, settings: Any) -> Path:
    settings.SYNC_FILES_DIR = str(tmp_path / "files")
    settings.SYNC_FILES_FREE_BYTES_MIN = 0
    return tmp_path / "files"


def on_disk(folder: Path) -> list[str]:
    """Every file in the store's folders, locks aside, by its name."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
