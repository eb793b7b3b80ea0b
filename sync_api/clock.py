"""The clock that a device writes by. Captured times come from here, and only from here.

The simulator gives each of its databases a clock of its own, which it sets forwards and back.
"""

from __future__ import annotations

import time
from collections.abc import Callable

SOURCES: dict[str, Callable[[], int]] = {}
"""By database alias: what to ask instead of the machine's clock, in nanoseconds since 1970 UTC."""


def source(alias: str) -> Callable[[], int]:
    """The function that tells this database's time. A connection asks once, when it opens."""
    return SOURCES.get(alias, time.time_ns)


def now_in_microseconds(alias: str) -> int:
    return source(alias)() // 1000
