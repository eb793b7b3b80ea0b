"""kill -9 at every commit and every answer: after a restart everything arrives exactly once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sync_api.failpoints import FAILPOINTS
from tests.processes import Installation, Web, enrol, installation, start_web

pytestmark = pytest.mark.long

KILLED = -9
ROWS = 60
BATCH_LINES = "20"
APPS = ["tests.portal"]
NTH = (1, 2)
"""Each failpoint is tried at its first passing and, once something is stored already, at its second."""

DIRECT = [name for name in FAILPOINTS if name.split(".")[0] in ("seal", "push", "accept", "consume")]
"""Those on the way without a middleman."""


@pytest.mark.parametrize("nth", NTH)
@pytest.mark.parametrize("failpoint", DIRECT)
@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_a_kill_at_a_failpoint_loses_nothing_and_repeats_nothing(
    tmp_path: Path, vendor: str, failpoint: str, nth: int
) -> None:
    laptop, central, web = pair(tmp_path, vendor)
    try:
        make_rows(laptop, 0, ROWS)
        running = kill_somewhere(laptop, central, web, f"{failpoint}:{nth}")
        assert running is not None, f"no station passed {failpoint} {nth} times"
        running.kill()
        make_rows(laptop, 2 * ROWS, 3 * ROWS)
        web = start_web(central, port=running.port)
        laptop.manage("push_transactions")
        central.manage("consume_transactions")
    finally:
        web.stop()
    assert_exactly_once(laptop, central)


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_two_pushers_and_two_consumers_at_once_apply_everything_once(tmp_path: Path, vendor: str) -> None:
    laptop, central, web = pair(tmp_path, vendor)
    try:
        make_rows(laptop, 0, 10 * ROWS)
        pushers = [laptop.start("push_transactions") for _ in range(2)]
        consumers = [central.start("consume_transactions") for _ in range(2)]
        for process in pushers + consumers:
            process.communicate(timeout=120)
        assert any(process.returncode == 0 for process in pushers)
        laptop.manage("push_transactions")
        two = [central.start("consume_transactions") for _ in range(2)]
        failures = [process.communicate(timeout=120)[1] for process in two]
        assert [process.returncode for process in two] == [0, 0], failures
    finally:
        web.stop()
    assert_exactly_once(laptop, central)


def pair(folder: Path, vendor: str) -> tuple[Installation, Installation, Web]:
    """A laptop enrolled at a running server; small batches, so that one push has several."""
    laptop = installation(folder, role="client", device="laptop-1", apps=APPS, TEST_BATCH_LINES=BATCH_LINES)
    central = installation(folder, role="server", device="central", apps=APPS, vendor=vendor)
    web = start_web(central)
    enrol(laptop, central, web.url)
    return laptop, central, web


def make_rows(laptop: Installation, first: int, last: int) -> None:
    """Rows `first` to `last`: each inserted, and corrected at once; each a unit of two changes."""
    laptop.manage("portal_make", str(first), str(last))


def kill_somewhere(laptop: Installation, central: Installation, web: Web, failpoint: str) -> Web | None:
    """Set the failpoint in the pusher, then in the server, then in the consumer, until one is killed by it.

    Returns the server as it runs then, or None if nothing passed the failpoint.
    """
    if ended(laptop, "push_transactions", failpoint) == KILLED:
        return web
    make_rows(laptop, ROWS, 2 * ROWS)
    web.kill()
    web = start_web(central, port=web.port, SYNC_FAILPOINT=failpoint)
    ended(laptop, "push_transactions", "")
    if "SIGKILL" in (central.folder / "web.log").read_text():
        return web
    if ended(central, "consume_transactions", failpoint) == KILLED:
        return web
    web.kill()
    return None


def ended(station: Installation, command: str, failpoint: str) -> int:
    """The exit status of a command run with a failpoint."""
    with station.start(command, env={"SYNC_FAILPOINT": failpoint} if failpoint else {}) as process:
        process.communicate(timeout=120)
    return process.returncode


def assert_exactly_once(laptop: Installation, central: Installation) -> None:
    made = json.loads(laptop.manage("portal_count"))
    held = json.loads(central.manage("portal_count", "--mirror"))
    assert held == made
    laptop.manage("verify_chain")
    central.manage("verify_chain")
