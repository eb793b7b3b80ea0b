"""The simulator itself: a few runs, the same again from the same seed, and what the command tells."""

from __future__ import annotations

import json
from pathlib import Path

from django.core.management import call_command

from sync_api.simulation.runs import simulate


def test_a_few_runs_hold_every_promise_and_make_a_report(tmp_path: Path) -> None:
    report = tmp_path / "validation.md"
    told = json.loads(call_command("simulate", seed=1, runs=3, steps=20, report=report, json=True))
    assert told["is_good"]
    assert told["runs"] == 3
    assert "All promises held" in report.read_text()


def test_the_same_seed_gives_the_same_run() -> None:
    first, second = (simulate(seed=5, runs=2, steps=12) for _ in range(2))
    assert (first.kinds, first.outcomes, first.checked) == (second.kinds, second.outcomes, second.checked)
