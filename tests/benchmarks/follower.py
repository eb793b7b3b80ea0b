"""`python -m tests.benchmarks.follower ALIAS`: the server's consumer, as it runs beside the web process.

Says "ready" once Django and the database are up, then consumes whatever arrives until it is killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

LOOK_AGAIN_SECONDS = 0.002


def main(alias: str) -> None:
    import django

    django.setup()
    from django.conf import settings

    from sync_api.deserializer import consume
    from sync_api.deserializer.follow import follow

    settings.SYNC_FOLLOW_SECONDS = LOOK_AGAIN_SECONDS
    consume(alias)
    print("ready", flush=True)
    follow(alias, tell=lambda sentence: None)


@contextmanager
def following(alias: str) -> Iterator[None]:
    """A follower on the alias' database, up and waiting."""
    command = [sys.executable, "-m", "tests.benchmarks.follower", alias]
    with subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.kill()


def wait_until_consumed(alias: str) -> None:
    """Until every batch the server holds is consumed."""
    from django.db.models import F

    from sync_api.models import IncomingEpoch

    behind = IncomingEpoch.objects.using(alias).filter(consumed_number__lt=F("head_number"))
    while behind.exists():
        time.sleep(LOOK_AGAIN_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1])
