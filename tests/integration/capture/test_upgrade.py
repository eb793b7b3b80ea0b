"""A database that an older release left is migrated with everything in it, and capture goes on."""

from __future__ import annotations

import gzip
import sqlite3
from pathlib import Path

import pytest

from tests.processes import Installation

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
WRITE = """
from syncserver.study.models import Site
Site.objects.create(code="S9", name="After the upgrade")
Site.objects.filter(code="S1").update(name="Renamed again")
"""


@pytest.fixture
def laptop(tmp_path: Path) -> Installation:
    """A laptop as the release of migration 0003 left it: five sites made, one renamed, one deleted, nothing sent."""
    path = tmp_path / "db.sqlite3"
    with sqlite3.connect(path) as database:
        database.executescript(gzip.decompress((GOLDEN / "laptop-0003.sql.gz").read_bytes()).decode())
    database.close()
    return Installation(tmp_path, "client", "laptop-1", f"sqlite:///{path}", [])


def log_of(laptop: Installation) -> list[tuple[str, str | None, str | None]]:
    path = laptop.database_url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as database:
        found = database.execute(
            'SELECT action, "user", reason FROM sync_api_outgoingtransaction ORDER BY id'
        ).fetchall()
    database.close()
    return found


def test_a_laptop_of_an_older_release_is_upgraded_and_goes_on(laptop: Installation) -> None:
    before = log_of(laptop)
    assert [action for action, _, _ in before] == ["I", "I", "I", "I", "I", "U", "D"]
    laptop.manage("migrate", "--verbosity", "0")
    assert log_of(laptop) == before, "an upgrade records nothing and loses nothing"
    assert "W004" not in laptop.manage("check", "--database", "default")
    laptop.manage("shell", "--verbosity", "0", "-c", WRITE)
    assert [action for action, _, _ in log_of(laptop)[7:]] == ["I", "U"]
    assert log_of(laptop)[:7] == before
    laptop.manage("sync_status")
