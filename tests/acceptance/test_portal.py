"""Real field data with its real corrections, from a laptop's saves to every past state on the server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.portal.revisions import TABLES, Table, data_folder
from tests.processes import Installation, enrol, running_web

pytestmark = pytest.mark.skipif(
    not data_folder().is_dir(),
    reason="the Portal tables are not beside this checkout; SYNC_PORTAL_DATA names their folder",
)

SHORT = ("rodent_species",)
LONG = pytest.param(TABLES, id="all-tables", marks=[pytest.mark.long, pytest.mark.timeout(2400)])


@pytest.mark.parametrize("tables", [pytest.param(SHORT, id="rodent_species"), LONG])
def test_every_revision_reads_back_after_one_push_at_the_end(
    laptop: Installation, central: Installation, tables: tuple[str, ...]
) -> None:
    moments = {name: replay(laptop, name) for name in tables}
    with running_web(central) as web:
        enrol(laptop, central, web.url)
        laptop.manage("push_transactions")
    central.manage("consume_transactions")
    for name in tables:
        verify(central, laptop, name, moments[name], "captured")


@pytest.mark.parametrize("tables", [pytest.param(SHORT, id="rodent_species"), LONG])
def test_every_revision_reads_back_on_both_timelines_when_pushed_one_by_one(
    laptop: Installation, central: Installation, tables: tuple[str, ...]
) -> None:
    with running_web(central) as web:
        enrol(laptop, central, web.url)
        with (
            station(laptop, "push_transactions") as pusher,
            station(central, "consume_transactions") as consumer,
        ):
            moments = {name: one_by_one(laptop, name, pusher, consumer) for name in tables}
    for name in tables:
        captured, committed = moments[name]
        verify(central, laptop, name, captured, "captured")
        verify(central, laptop, name, committed, "committed")


def table_file(name: str) -> Path:
    return data_folder() / f"{name}.jsonl.gz"


def replay(laptop: Installation, name: str) -> list[str]:
    """All revisions at once; the laptop's moment after each."""
    output = laptop.manage("portal_replay", str(table_file(name)))
    return [json.loads(line)["moment"] for line in output.splitlines()]


def one_by_one(
    laptop: Installation, name: str, pusher: subprocess.Popen[str], consumer: subprocess.Popen[str]
) -> tuple[list[str], list[str]]:
    """Each revision made, pushed and consumed before the next; the moments after it, on laptop and server."""
    captured, committed = [], []
    with laptop.start("portal_replay", str(table_file(name)), "--step", stdin=subprocess.PIPE) as replayer:
        for _ in Table.open(table_file(name)).revisions():
            captured.append(step(replayer)["moment"])
            step(pusher)
            committed.append(step(consumer)["moment"])
        finish(replayer)
    return captured, committed


@contextmanager
def station(installation: Installation, command: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs `command` at each `step`."""
    with installation.start("portal_stations", command, stdin=subprocess.PIPE) as process:
        yield process
        finish(process)


def step(process: subprocess.Popen[str]) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write("go\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    return json.loads(line)


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def verify(central: Installation, laptop: Installation, name: str, moments: list[str], timeline: str) -> None:
    known = central.folder / f"{name}-{timeline}.json"
    known.write_text(json.dumps(moments))
    central.manage(
        *("portal_verify", str(table_file(name)), str(known)),
        *("--device", laptop.device, "--timeline", timeline),
    )
