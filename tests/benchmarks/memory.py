"""Peak memory of sealing and pushing, and of consuming, a large backlog; each in a process of its own.

"Flat" is shown by a second run with a fifth of the backlog: five times as much must not need more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

from tests.benchmarks import databases, road
from tests.benchmarks.figures import Figure

MEGABYTE = 1024 * 1024
FRACTION = 5
GROWTH_MB_MAX = 15


def run(rows: int) -> Iterator[Figure]:
    for server in databases.SERVERS:
        vendor = databases.vendor(server)
        small, large = peaks(server, rows // FRACTION), peaks(server, rows)
        for station in large:
            yield Figure("memory", f"{station}: over idle", vendor, rows, large[station], "MB", "<= 100")
            yield Figure(
                "memory",
                f"{station}: over idle with a {FRACTION}th",
                vendor,
                rows // FRACTION,
                small[station],
                "MB",
            )
            growth = large[station] - small[station]
            yield Figure("memory", f"{station}: growth", vendor, rows, growth, "MB", f"<= {GROWTH_MB_MAX}")


def peaks(server: str, rows: int) -> dict[str, float]:
    """Megabytes over the idle process, by station."""
    with road.enrolled(server):
        road.fill(road.LAPTOP, rows)
        return {
            "seal and push": peak("push_transactions", road.LAPTOP),
            "consume": peak("consume_transactions", server),
        }


def peak(command: str, alias: str) -> float:
    output = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.measured", command, alias],
        env=os.environ,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = json.loads(output.splitlines()[-1])
    return float(found["peak"] - found["idle"]) / MEGABYTE
