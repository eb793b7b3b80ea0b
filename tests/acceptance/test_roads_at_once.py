"""A laptop's batches by two middlemen and a bundle at once: the server's state is that of a direct push."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_kills import APPS, assert_exactly_once, make_rows
from tests.acceptance.test_middleman import change, new_middleman
from tests.processes import Installation, enrol, installation, running_web

ROWS = 60
WAYS_OWN = frozenset({"_when_added", "_when_removed", "_source", "_added_by", "_removed_by"})
"""Columns of a mirror that say when and by which batch's row the server applied it."""


@pytest.mark.long
def test_two_middlemen_and_a_bundle_at_once_equal_a_direct_push(tmp_path: Path) -> None:
    laptop = installation(tmp_path, role="client", device="laptop-1", apps=APPS, TEST_BATCH_LINES="20")
    central = installation(tmp_path, role="server", device="central", apps=APPS)
    with running_web(central) as web:
        enrol(laptop, central, web.url)
        middlemen = [new_middleman(tmp_path, name, central, web) for name in ("relay-1", "relay-2")]
    make_rows(laptop, 0, ROWS)
    stick = tmp_path / "stick"
    stick.mkdir()
    laptop.manage("export_bundle", "--to", str(stick))
    with running_web(laptop) as laptop_web:
        for middleman in middlemen:
            middleman.manage("pull_transactions", "--laptop", laptop_web.url)
    other_laptop, other_central = twin(tmp_path, laptop), twin(tmp_path, central)
    by_all_roads(central, middlemen, sorted(stick.iterdir()))
    directly(other_laptop, other_central)
    for server in (central, other_central):
        server.manage("consume_transactions")
        assert_exactly_once(laptop, server)
    assert state(central) == state(other_central)


def twin(folder: Path, original: Installation) -> Installation:
    """The same installation in another folder: database, keys and all."""
    copied = folder / f"twin-{original.device}"
    shutil.copytree(original.folder, copied)
    return replace(original, folder=copied, database_url=f"sqlite:///{copied / 'db.sqlite3'}")


def by_all_roads(central: Installation, middlemen: list[Installation], files: list[Path]) -> None:
    with running_web(central) as web:
        for middleman in middlemen:
            change(middleman, "UPDATE sync_api_localdevice SET server_url = ?", web.url)
        roads = [middleman.start("relay_transactions") for middleman in middlemen]
        roads.append(central.start("import_bundle", *map(str, files)))
        ended = [finished(road) for road in roads]
    assert [status for status, _ in ended] == [0, 0, 0], ended


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=300)
    return process.returncode, errors


def directly(laptop: Installation, central: Installation) -> None:
    with running_web(central) as web:
        change(laptop, "UPDATE sync_api_localdevice SET server_url = ?", web.url)
        laptop.manage("push_transactions")


def state(server: Installation) -> dict[str, list[Any]]:
    """Everything received and applied, without how and when it came."""
    with closing(sqlite3.connect(server.folder / "db.sqlite3")) as database:
        tables = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            if name.endswith("_mirror")
        ]
        found = {
            "batches": database.execute(
                "SELECT number, hash, previous_hash, state, content FROM sync_api_incomingbatch ORDER BY number, hash"
            ).fetchall(),
            "lines": database.execute(
                "SELECT sequence, unit, tx_name, action, tx_pk, previous_pk, payload, user, reason, producer,"
                " captured_at, effective_at, is_consumed, is_error FROM sync_api_incomingtransaction ORDER BY sequence"
            ).fetchall(),
        }
        for table in tables:
            columns = [row[1] for row in database.execute(f'PRAGMA table_info("{table}")')]
            kept = ", ".join(f'"{column}"' for column in columns if column not in WAYS_OWN)
            found[table] = database.execute(f'SELECT {kept} FROM "{table}" ORDER BY 1').fetchall()
    assert found["lines"]
    return found
