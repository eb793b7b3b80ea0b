"""The layers hold, and the packages carry nothing of this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("syncserver", "sync_api", "audit")
LINES_MAX = 500


def test_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run(
        [lint, "--no-cache"], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout[-4000:]


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_can_be_held_in_the_head(package: str) -> None:
    modules = [path for path in (ROOT / package).rglob("*.py") if not {"migrations", "exceptions.py"} & {*path.parts}]
    assert [str(path) for path in modules if len(path.read_text().splitlines()) > LINES_MAX] == []


def test_constraints_name_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line)] == []


def test_settings_in_the_environment_set_a_limit(tmp_path: Path) -> None:
    code = "from sync_api.conf import limit; print(limit('SYNC_BATCH_LINES'), limit('SYNC_READ_SECONDS'))"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "syncserver.settings",
        "SYNC_BATCH_LINES": "7",
    }
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["7", "120.0"]
