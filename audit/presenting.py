"""How the admin of a mirror shows a column, where more is known of its values than the text in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audit.mirror.columns import MirrorRow
from audit.mirror.tables import MirrorTable

Presented = Callable[[MirrorRow], Any]
Presenter = Callable[[MirrorTable, str], Presented | None]

PRESENTERS: list[Presenter] = []
"""Asked in turn for each column of a mirror; the first that gives a function shows the column with it."""


def presented(table: MirrorTable, column: str) -> Presented | None:
    """The function that shows this column; None where its text says all."""
    return next((found for presenter in PRESENTERS if (found := presenter(table, column)) is not None), None)
