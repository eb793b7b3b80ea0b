"""Lets the simulator look for one planted bug, and writes down what it found."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from unittest.mock import patch

from sync_api.simulation.runs import Outcome, simulate
from tests.planted.bugs import BUGS

PAGE = "docs/explanation/planted-bugs.md"
SEEDS = 5
RUNS = 40
STEPS = 40
SHRINK_SECONDS = 15
LINES_MAX = 14
WIDTH_MAX = 160


def hunt(name: str, *, seed: int | None = None, shrink: bool = False) -> Outcome:
    """The outcome of the first seed that finds the bug; of the last one, if none does."""
    outcome = Outcome(0)
    for number in [seed] if seed is not None else range(1, SEEDS + 1):
        with BUGS[name](), patch("hypothesis.internal.conjecture.engine.MAX_SHRINKING_SECONDS", SHRINK_SECONDS):
            outcome = simulate(seed=number, runs=RUNS, steps=STEPS, shrink=shrink)
        if outcome.problems:
            return outcome
    return outcome


def page(caught: Sequence[tuple[str, Outcome]]) -> str:
    """docs/explanation/planted-bugs.md."""
    rows = [
        f"| [{name}](#{name}) | {doc(name)} | {found.seed if found.problems else 'not caught'} |"
        for name, found in caught
    ]
    parts = [HEAD, "\n".join(["| bug | what is wrong | caught by seed |", "|---|---|---|", *rows])]
    rest = sorted(set(BUGS) - {name for name, _ in caught})
    if rest:
        parts.append(f"Not looked for when this page was written: {', '.join(rest)}.")
    for name, found in caught:
        script = [line[:WIDTH_MAX] for line in found.script]
        if len(script) > LINES_MAX:
            script = [*script[: LINES_MAX - 1], f"... and {len(script) - LINES_MAX + 1} steps more"]
        parts.append(f"## {name}\n\n{doc(name)} The simulator says: *{found.problems[0][:WIDTH_MAX]}*")
        parts.append("```python\n" + "\n".join(script) + "\n```")
    return "\n\n".join(parts) + "\n"


def doc(name: str) -> str:
    return inspect.getdoc(BUGS[name].__wrapped__) or ""  # type: ignore[attr-defined]


HEAD = f"""# Planted bugs

Does the simulator see what it is made to see? Each of these bugs was put into the product by a patch in
`tests/planted/bugs.py`, and the simulator ({RUNS} runs of {STEPS} steps at most) finds it with the seed named here:
the long tests look for each again (`tests/simulation/test_planted.py`). Below stands the run in which it was first
found, its first {LINES_MAX} steps, as the simulator was then. `python -m tests.planted [NAME ...]` hunts, with
`--write` it makes this page."""
