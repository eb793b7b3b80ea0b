"""500 runs of 60 steps, in two processes, and every planted bug: what `.ci/run` does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.planted.bugs import BUGS
from tests.planted.hunt import PAGE

ROOT = Path(__file__).resolve().parents[2]
RUNS = 500
PROCESSES = 2
SEED = 2026
TOLD = (ROOT / PAGE).read_text() if (ROOT / PAGE).exists() else ""
CAUGHT = dict(re.findall(r"^\| \[([a-z-]+)\]\(#[a-z-]+\) \| .+ \| (\d+) \|$", TOLD, re.M))

pytestmark = pytest.mark.skipif(
    not os.environ.get("SYNC_SIMULATE_LONG"), reason="set SYNC_SIMULATE_LONG=1: not timed within .ci/run yet"
)


def environment(folder: Path) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO")}
    return {**plain, "SECRET_KEY": "simulation", "DATABASE_URL": f"sqlite:///{folder / 'untouched.sqlite3'}"}


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_500_runs_hold_every_promise(tmp_path: Path) -> None:
    runs = RUNS // PROCESSES
    command = [sys.executable, str(ROOT / "manage.py"), "simulate", "--json", f"--runs={runs}", "--steps=60"]
    processes = [
        subprocess.Popen(
            [*command, f"--seed={SEED + place}"],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for place in range(PROCESSES)
    ]
    ended = [process.communicate() for process in processes]
    for process, (_, errors) in zip(processes, ended, strict=True):
        assert process.returncode == 0, errors
    told = [json.loads(output) for output, _ in ended]
    assert sum(one["runs"] for one in told) >= RUNS
    assert not (tmp_path / "untouched.sqlite3").exists()


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("name", sorted(BUGS))
def test_a_planted_bug_is_caught(tmp_path: Path, name: str) -> None:
    assert name in CAUGHT, f"docs: run `python -m tests.planted --write`, {name} is not in {PAGE}"
    command = [sys.executable, "-m", "tests.planted", name, f"--seed={CAUGHT[name]}"]
    ended = subprocess.run(command, cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_page_lists_every_planted_bug() -> None:
    assert set(CAUGHT) == set(BUGS)
    assert len(BUGS) >= 12
