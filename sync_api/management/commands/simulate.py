"""Try to disprove the promises: seeded runs of laptops, relays and servers with faults, on the study's own models."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sync_api.management.commands._common import add_json, plain_errors, to_json
from sync_api.simulation.report import facts, markdown, sentence
from sync_api.simulation.runs import simulate

SEEDS = 1_000_000


class Command(BaseCommand):
    help = (
        "Simulate laptops, relays and servers with faults, in files of its own, and check that nothing is lost or "
        "applied twice. The same seed, runs and steps give the same simulation. No database of the project is touched."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seed", type=int, help="Of the first run (default: chosen and printed).")
        parser.add_argument("--runs", type=int, default=100, help="Runs (per seed, with --minutes).")
        parser.add_argument("--steps", type=int, default=60, help="Steps per run.")
        parser.add_argument("--minutes", type=float, help="Go on with the next seeds until the time is up.")
        parser.add_argument("--report", metavar="FILE.md", type=Path, help="Write a validation report to file.")
        parser.add_argument("--no-shrink", action="store_true", help="Show a failing run as it was found.")
        add_json(parser)

    def handle(self, *, seed: int | None, runs: int, steps: int, minutes: float | None, **options: Any) -> str:
        seed = secrets.randbelow(SEEDS) if seed is None else seed
        if runs < 1 or steps < 1:
            raise CommandError("--runs and --steps are 1 or more.")
        if not options["json"]:
            self.stdout.write(f"seed {seed}, {runs} runs of {steps} steps")
        with plain_errors():
            outcome = simulate(seed=seed, runs=runs, steps=steps, minutes=minutes, shrink=not options["no_shrink"])
        if options["report"]:
            options["report"].write_text(markdown(outcome, runs=runs, steps=steps))
        if not outcome.is_good:
            if options["json"]:
                self.stdout.write(to_json(facts(outcome)))
            raise CommandError(sentence(outcome, runs=runs, steps=steps))
        return to_json(facts(outcome)) if options["json"] else sentence(outcome, runs=runs, steps=steps)
