"""What a simulation tells: a sentence, facts for programs, and a validation report that a study can file."""

from __future__ import annotations

import platform
import sqlite3
from collections import Counter
from typing import Any

import django
from django.utils import timezone

from sync_api.conf import app_version, host_name
from sync_api.schema import synced_models
from sync_api.simulation.runs import Outcome
from sync_api.simulation.values import studied_models

PROMISES = (
    (
        "Nothing is lost",
        "every change that a laptop's user was told was saved is on the server, or listed there as parked",
    ),
    ("Exactly once", "the mirror has one version for each applied transaction, however often its batch was sent"),
    ("Order", "the versions of each record follow each other as they did on its laptop"),
    ("The mirror is the fold of the log", "now and at past moments, compared with an account kept in plain Python"),
    ("Whole units", "what was one database transaction on the laptop is applied wholly or not at all"),
    ("Reasons", "every transaction that is not applied belongs to a unit that is listed with a reason and a next step"),
    ("Chains", "every hash, link and signature of every stored batch verifies, on every computer"),
    (
        "Counts",
        "each batch has the same transactions on both sides; every receipt is for a batch that the server holds",
    ),
)


def sentence(outcome: Outcome, *, runs: int, steps: int) -> str:
    if outcome.is_good:
        return (
            f"{outcome.runs} runs with {outcome.steps} steps ended well in {outcome.seconds:.0f} s: "
            f"{outcome.checked['versions']} versions in the mirrors, {outcome.checked['lines']} transactions folded, "
            f"{outcome.checked['laptops']} laptops compared."
        )
    lines = [
        f"Seed {outcome.seed} found a run that breaks a promise.",
        *outcome.problems,
        "",
        "The run:",
        *outcome.script,
    ]
    again = f"`simulate --seed {outcome.seed} --runs {runs} --steps {steps}` finds it again."
    return "\n".join([*lines, "", again])


def facts(outcome: Outcome) -> dict[str, Any]:
    return {
        "is_good": outcome.is_good,
        "seed": outcome.seed,
        "runs": outcome.runs,
        "steps": outcome.steps,
        "seconds": round(outcome.seconds, 1),
        "kinds": dict(outcome.kinds),
        "outcomes": dict(outcome.outcomes),
        "checked": dict(outcome.checked),
        "problems": outcome.problems,
        "script": outcome.script,
    }


def markdown(outcome: Outcome, *, runs: int, steps: int) -> str:
    """The validation report."""
    studied, left_out = studied_models()
    result = "**All promises held.**" if outcome.is_good else "**A promise was broken.**"
    parts = [
        "# Validation of data transfer by simulation",
        f"{result} Made on {timezone.now():%Y-%m-%d %H:%M} UTC on {host_name()} by `manage.py simulate`.",
        table(
            ("what", "value"),
            [
                ("version of the study", app_version()),
                (
                    "Python, Django, SQLite",
                    f"{platform.python_version()}, {django.__version__}, {sqlite3.sqlite_version}",
                ),
                ("last seed", outcome.seed),
                ("runs that ended well", outcome.runs),
                ("steps", outcome.steps),
                ("seconds", f"{outcome.seconds:.0f}"),
                ("to repeat", f"`manage.py simulate --seed {outcome.seed} --runs {runs} --steps {steps}`"),
            ],
        ),
        "## What was checked at the end of every run",
        table(("promise", "meaning"), PROMISES),
        table(("compared", "number"), counted(outcome.checked)),
        "## Models",
        f"{len(synced_models())} tables are captured. Rows were made for: "
        + ", ".join(f"`{model._meta.label}`" for model in studied)
        + ".",
        *([table(("left out", "why"), sorted(left_out.items()))] if left_out else []),
        "## What happened in the runs",
        table(("step", "times"), counted(outcome.kinds)),
        table(("trouble", "times"), counted(outcome.outcomes)),
    ]
    if not outcome.is_good:
        parts += ["## The failing run", "\n".join(f"- {problem}" for problem in outcome.problems)]
        parts += ["```python\n" + "\n".join(outcome.script) + "\n```"]
    return "\n\n".join(parts) + "\n"


def counted(counter: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))


def table(head: tuple[str, ...], rows: Any) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |" for row in rows]
    return "\n".join(lines)
