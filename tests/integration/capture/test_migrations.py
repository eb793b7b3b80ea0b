"""A study's next release: its captured table, its data and the log itself are migrated with capture in place."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.postgres import postgres_database

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    if request.param == "sqlite":
        yield {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "study.sqlite3")}
        return
    server = postgres_database()
    access = {"host": server.get("HOST"), "user": server.get("USER"), "password": server.get("PASSWORD")}
    port = {"port": server["PORT"]} if server.get("PORT") else {}
    with psycopg.connect(dbname=server["NAME"], autocommit=True, **access, **port) as admin:
        admin.execute("DROP DATABASE IF EXISTS study_of_two_releases")
        admin.execute("CREATE DATABASE study_of_two_releases")
    yield {**server, "NAME": "study_of_two_releases"}  # left for the next run to drop: dropping waits for the disk


def run(folder: Path, database: dict[str, Any], script: str) -> Any:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.integration.capture.study", str(folder), json.dumps(database), script],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_release_alters_captured_table_and_log_and_writes_data(tmp_path: Path, database: dict[str, Any]) -> None:
    first = run(tmp_path, database, "first_release")
    assert [(tx["action"], tx["values"]["name"]) for tx in first] == [("I", "a"), ("I", "b"), ("I", "c")]

    second = run(tmp_path, database, "second_release")
    assert "form.form has no column grams yet" in second["before"]
    assert second["after"] == []
    by_migration, by_program = second["log"][:-1], second["log"][-1]
    assert sorted((tx["action"], tx["values"]["name"]) for tx in by_migration) == [
        ("D", "b"),
        ("I", "by migration"),
        ("U", "a"),
        ("U", "c"),  # the columns that the release added hold values now
    ]
    assert all(tx["reason"].startswith("migration form.0003_data") for tx in by_migration)
    assert (by_program["action"], by_program["values"]["name"]) == ("I", "after")

    state = {tx["key"]: tx["values"] for tx in first}
    for tx in second["log"]:
        state[tx["key"]] = tx["values"]
        if tx["action"] == "D":
            del state[tx["key"]]
    as_captured = [(row["name"], float(row["grams"]), row["place"]) for _, row in sorted(state.items())]
    assert sorted(as_captured) == sorted((row["name"], row["grams"], row["place"]) for row in second["rows"])

    again = run(tmp_path, database, "back_again")
    assert "form.form has no column grams yet" in again["back"]
    assert again["forth"] == []
