"""`python -m tests.benchmarks.measured COMMAND ALIAS`: one command in a fresh process, and what memory it took."""

from __future__ import annotations

import json
import sys


def measure(command: str, alias: str) -> None:
    """In a fresh process: idle memory once Django has asked the database, then the command's peak."""
    import django

    django.setup()
    from audit.models import Device
    from tests.benchmarks import road

    Device.objects.using(alias).count()
    idle = status("VmRSS")
    road.command(command, database=alias)
    print(json.dumps({"idle": idle, "peak": status("VmHWM")}))


def status(name: str) -> int:
    """A figure of /proc/self/status in bytes (ru_maxrss would begin with the parent's peak)."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    measure(sys.argv[1], sys.argv[2])
