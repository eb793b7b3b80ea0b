from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.recipients.sealed import set_up


@pytest.fixture(autouse=True)
def keys(settings: Any, tmp_path: Path) -> None:
    """Keys of every installation, for this test alone."""
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")


@pytest.fixture
def enrolled_laptop(laptop: str, server: str) -> str:
    set_up(laptop, server)
    return laptop
