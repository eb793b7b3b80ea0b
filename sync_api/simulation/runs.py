"""Many runs from one seed: the same seed, runs and steps give the same simulation."""

from __future__ import annotations

import re
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sync_api.exceptions import SimulatorMissing
from sync_api.simulation.computers import Template, fast_folder, simulated_settings
from sync_api.simulation.stage import Broken
from sync_api.simulation.world import World

PREFIX = "syncserver-simulation-"
NUMBER = re.compile(r"[1-9][0-9]*")
OUTCOMES = ("killed", "refused", "stopped", "taken back", "restored", "cloned", "wiped", "handed on", "took")
"""Beginnings of the outcomes that a report counts."""


@dataclass(slots=True)
class Outcome:
    """What a simulation did. `problems` and `script` are those of the shortest run that failed; empty when none did."""

    seed: int
    runs: int = 0
    steps: int = 0
    seconds: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    script: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.problems

    def ended(self, world: World, facts: str) -> None:
        """Count a run that ended well."""
        self.runs += 1
        self.steps += world.steps
        for line in world.script:
            name = line.removeprefix("world.").partition("(")[0]
            self.kinds[name] += 1
            outcome = line.rpartition("  # ")[2]
            if outcome.startswith(OUTCOMES):
                self.outcomes[f"{name}: {re.sub(r'[1-9][0-9]*', 'n', outcome)}"] += 1
        for part in facts.partition(": ")[2].split(", "):
            count, _, name = part.partition(" ")
            self.checked[name] += int(count or 0)


def simulate(
    *,
    seed: int,
    runs: int,
    steps: int,
    minutes: float | None = None,
    shrink: bool = True,
    template: Template | None = None,
) -> Outcome:
    """Run the simulator. With `minutes`, seeds follow one another until the time is up.

    SimulatorMissing when Hypothesis is not installed. Touches no database of the project. `template`: one that was made
    before, inside `simulated_settings`.
    """
    if template is None:
        with simulated_settings(), tempfile.TemporaryDirectory(prefix=PREFIX, dir=fast_folder()) as folder:
            made = Template(Path(folder))
            return simulate(seed=seed, runs=runs, steps=steps, minutes=minutes, shrink=shrink, template=made)
    outcome = Outcome(seed)
    begun = time.monotonic()
    while True:
        run_seed(template, outcome, runs=runs, steps=steps, shrink=shrink)
        outcome.seconds = time.monotonic() - begun
        if minutes is None or outcome.problems or outcome.seconds >= minutes * 60:
            return outcome
        outcome.seed += 1


def run_seed(template: Template, outcome: Outcome, *, runs: int, steps: int, shrink: bool) -> None:
    """All runs of one seed."""
    try:
        import hypothesis
        from hypothesis.stateful import run_state_machine_as_test

        from sync_api.simulation.machine import Simulation
    except ImportError as error:
        raise SimulatorMissing(missing=str(error.name)) from error
    phases = [hypothesis.Phase.generate, *([hypothesis.Phase.shrink] if shrink else [])]
    settings = hypothesis.settings(
        max_examples=runs,
        stateful_step_count=steps,
        phases=phases,
        database=None,
        deadline=None,
        derandomize=False,
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=hypothesis.Verbosity.quiet,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    machine = type("Seeded", (Simulation,), {"template": template, "report": outcome})
    try:
        run_state_machine_as_test(hypothesis.seed(outcome.seed)(machine), settings=settings)
    except Broken as error:
        outcome.problems, outcome.script = error.problems, error.script
    except hypothesis.errors.FlakyFailure as error:
        broken = next(one for one in error.exceptions if isinstance(one, Broken))
        told = "The same run held when it was done again: something besides the seed decides."
        outcome.problems, outcome.script = [*broken.problems, told], broken.script
