"""What a benchmark found: named figures, each with its bound where the project promises one."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

REPEATS = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` in `unit`; `bound` is '<= 1.35' or the like, and `ok` whether it is kept (None: no promise)."""

    benchmark: str
    name: str
    database: str
    rows: int
    value: float
    unit: str
    bound: str = ""

    @property
    def ok(self) -> bool | None:
        if not self.bound:
            return None
        sign, limit = self.bound.split()
        return self.value <= float(limit) if sign == "<=" else self.value >= float(limit)


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of the ratios of runs made side by side: a neighbour's load falls on both."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def as_json(figures: Sequence[Figure]) -> str:
    return json.dumps([{**asdict(figure), "ok": figure.ok} for figure in figures], indent=1)


def print_table(figures: Sequence[Figure], console: Console) -> None:
    table = Table(title="syncserver benchmarks")
    for heading in ("benchmark", "figure", "database", "rows", "value", "unit", "bound", "kept"):
        table.add_column(heading, justify="right" if heading in ("rows", "value") else "left")
    for figure in figures:
        kept = {True: "yes", False: "[bold red]NO[/]", None: ""}[figure.ok]
        value = f"{figure.value:,.2f}" if abs(figure.value) < 100 else f"{figure.value:,.0f}"
        table.add_row(
            figure.benchmark,
            figure.name,
            figure.database,
            f"{figure.rows:,}",
            value,
            figure.unit,
            figure.bound,
            kept,
        )
    console.print(table)
