"""The first half of the 500 runs of 60 steps: see long_runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.long_runs import SEEDS, TIMEOUT_SECONDS, hold_every_promise


@pytest.mark.long
@pytest.mark.timeout(TIMEOUT_SECONDS)
@pytest.mark.parametrize("seed", SEEDS[:5])
def test_50_runs_hold_every_promise(tmp_path: Path, seed: int) -> None:
    hold_every_promise(tmp_path, seed)
