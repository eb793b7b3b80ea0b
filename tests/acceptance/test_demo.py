"""`manage.py demo`, as a newcomer runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parent.parent.parent
DEMO_SECONDS_MAX = 60


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "demo", *arguments],
        cwd=folder,
        env={**environment, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=3 * DEMO_SECONDS_MAX,
    )


def test_the_demo_tells_its_story_within_a_minute_and_its_admin_can_be_opened(tmp_path: Path) -> None:
    begun = time.monotonic()
    told = demo(tmp_path, "--keep", str(tmp_path / "day"))
    assert told.returncode == 0, told.stdout + told.stderr
    assert time.monotonic() - begun < DEMO_SECONDS_MAX
    for part in ("kill -9", "none lost", "digits swapped", "weight then", "runserver 8765"):
        assert part in told.stdout
    assert opened(told.stdout) == 0
    again = demo(tmp_path, "--keep", str(tmp_path / "day"))
    assert again.returncode == 1
    assert "is not empty" in again.stderr


def opened(told: str) -> int:
    """Exit status of the printed command, as a check only: `runserver` serves for ever."""
    command = next(line for line in told.splitlines() if "runserver 8765" in line)
    checked = command.replace("runserver 8765", "check")
    return subprocess.run(checked, shell=True, capture_output=True, env={"PATH": os.environ["PATH"]}).returncode
