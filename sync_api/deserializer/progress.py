"""A progress bar where a person watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(title: str, total: Callable[[], int], *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """A function that advances the bar. Without a terminal, or with nothing to do, there is none; `total` is asked
    only where somebody watches."""
    steps = 0 if quiet or not sys.stderr.isatty() else total()
    if not steps:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=steps)
        yield lambda count: bar.advance(task, count)
