"""Every planted bug is caught by the simulator, with the seed that the documentation tells."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.planted.bugs import BUGS
from tests.planted.hunt import PAGE
from tests.simulation.long_runs import ROOT, TIMEOUT_SECONDS, environment

BUGS_MIN = 12
TOLD = (ROOT / PAGE).read_text()
CAUGHT = dict(re.findall(r"^\| \[([a-z-]+)\]\(#[a-z-]+\) \| .+ \| (\d+) \|$", TOLD, re.M))


@pytest.mark.long
@pytest.mark.timeout(TIMEOUT_SECONDS)
@pytest.mark.parametrize("name", sorted(CAUGHT))
def test_a_planted_bug_is_caught(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-m", "tests.planted", name, f"--seed={CAUGHT[name]}"]
    ended = subprocess.run(command, cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_page_lists_every_planted_bug_as_caught() -> None:
    assert set(CAUGHT) == set(BUGS)
    assert len(CAUGHT) >= BUGS_MIN
    assert "not caught" not in TOLD
