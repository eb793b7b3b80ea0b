"""500 runs of 60 steps: two test modules, so that pytest's two workers share them.

Each seed is a process of its own: coverage is not measured there, which would take as long again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNS = 50
STEPS = 60
SEEDS = range(2026, 2036)
"""Ten seeds of 50 runs each; the modules take five each."""
TIMEOUT_SECONDS = 1_800


def environment(folder: Path) -> dict[str, str]:
    """As a user's shell, with a database that nothing may touch."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "COV"))}
    return {**plain, "SECRET_KEY": "simulation", "DATABASE_URL": f"sqlite:///{folder / 'untouched.sqlite3'}"}


def hold_every_promise(folder: Path, seed: int) -> None:
    """Simulate the runs of one seed; what breaks a promise fails with the script of the run."""
    command = [sys.executable, str(ROOT / "manage.py"), "simulate", "--json"]
    ended = subprocess.run(
        [*command, f"--seed={seed}", f"--runs={RUNS}", f"--steps={STEPS}"],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = json.loads(ended.stdout)
    assert told["is_good"]
    assert told["runs"] >= RUNS
    assert not (folder / "untouched.sqlite3").exists()
