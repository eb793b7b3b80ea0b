"""Laptop -> middleman -> server, as processes over HTTP: the hands in between need not be trusted."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sync_api.failpoints import FAILPOINTS
from tests.acceptance.test_kills import APPS, KILLED, assert_exactly_once, ended, make_rows
from tests.processes import Installation, Web, enrol, installation, running_web

pytestmark = pytest.mark.long

ON_THE_WAY = [name for name in FAILPOINTS if name.split(".")[0] in ("carry", "relay")]
BATCHES = 6
ROWS = 10 * BATCHES
"""20 lines a batch, two a row."""


@dataclass
class Field:
    """A laptop without a network of its own, a middleman, and the server far away."""

    laptop: Installation
    middleman: Installation
    central: Installation
    web: Web

    def pull(self, middleman: Installation | None = None, **env: str) -> dict[str, Any]:
        with running_web(self.laptop) as laptop:
            return dict((middleman or self.middleman).manage_json("pull_transactions", "--laptop", laptop.url, **env))

    def hand_on(self, middleman: Installation | None = None) -> dict[str, Any]:
        return dict((middleman or self.middleman).manage_json("relay_transactions"))

    def status(self) -> dict[str, Any]:
        return dict(self.laptop.manage_json("sync_status")["own"])


@contextmanager
def a_field(folder: Path, *, vendor: str = "sqlite") -> Iterator[Field]:
    laptop = installation(folder, role="client", device="laptop-1", apps=APPS, TEST_BATCH_LINES="20")
    central = installation(folder, role="server", device="central", apps=APPS, vendor=vendor)
    with running_web(central) as web:
        enrol(laptop, central, web.url)
        relay = new_middleman(folder, "relay-1", central, web, vendor=vendor)
        make_rows(laptop, 0, ROWS)
        yield Field(laptop, relay, central, web)


def new_middleman(folder: Path, name: str, server: Installation, web: Web, *, vendor: str = "sqlite") -> Installation:
    relay = installation(folder, role="relay", device=name, apps=APPS, vendor=vendor)
    code = server.manage_json("add_device", name, "--role", "relay")["code"]
    relay.manage("enrol", "--server", web.url, "--code", code)
    return relay


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    with a_field(tmp_path) as made:
        yield made


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_a_laptop_that_never_meets_the_server_has_its_receipts_at_the_next_visit(tmp_path: Path, vendor: str) -> None:
    with a_field(tmp_path, vendor=vendor) as field:
        (taken,) = field.pull()["laptops"]
        assert (taken["batches"], taken["transactions"]) == (BATCHES, 2 * ROWS)
        assert field.status()["unsent_batches"] > 0, "the middleman's word counted as the server's"
        assert marks(field.laptop) == (2 * ROWS, 0)
        assert field.hand_on()["batches"] == BATCHES
        field.central.manage("consume_transactions")
        assert_exactly_once(field.laptop, field.central)
        assert field.pull()["laptops"][0]["batches"] == 0
        assert marks(field.laptop) == (2 * ROWS, 2 * ROWS)
        assert field.status()["acknowledged_batches"] == BATCHES


def marks(laptop: Installation) -> tuple[int, int]:
    """Transactions marked as with a middleman, and as at the server."""
    with closing(sqlite3.connect(laptop.folder / "db.sqlite3")) as database:
        return database.execute(  # type: ignore[no-any-return]
            "SELECT sum(is_consumed_middleman), sum(is_consumed_server) FROM sync_api_outgoingtransaction"
        ).fetchone()


def change(station: Installation, statement: str, *values: Any) -> int:
    """Reach into a SQLite database behind the program's back; returns the rows changed."""
    with closing(sqlite3.connect(station.folder / "db.sqlite3")) as database, database:
        return database.execute(statement, values).rowcount


def content(station: Installation, number: int) -> bytes:
    with closing(sqlite3.connect(station.folder / "db.sqlite3")) as database:
        found = database.execute("SELECT content FROM sync_api_carriedbatch WHERE number = ?", (number,)).fetchone()
    return bytes(found[0])


def test_custody_is_known_on_every_hop_and_a_lost_middleman_loses_nothing(tmp_path: Path, field: Field) -> None:
    field.pull()
    missing = field.laptop.manage("custody", "--missing")
    assert f"relay-1 took batches 1 to {BATCHES} of laptop-1 from laptop-1 (pull)" in missing
    second = new_middleman(tmp_path, "relay-2", field.central, field.web)
    assert field.pull(second)["laptops"][0]["batches"] == BATCHES
    field.hand_on(second)
    told = {(one["signer"], one["action"], one["arrived"]) for one in all_custody(field.central)}
    assert told == {
        ("relay-1", "received", True),
        ("relay-2", "received", True),
        ("relay-2", "handed_over", True),
    }
    make_rows(field.laptop, 100, 101)
    field.pull()
    field.pull(second)
    field.hand_on(second)
    field.central.manage("consume_transactions")
    assert_exactly_once(field.laptop, field.central)


def all_custody(station: Installation) -> list[dict[str, Any]]:
    return list(station.manage_json("custody")["custody"])


def test_what_a_lost_middleman_took_is_listed_on_the_server(tmp_path: Path, field: Field) -> None:
    field.pull()
    second = new_middleman(tmp_path, "relay-2", field.central, field.web)
    change(field.laptop, "UPDATE sync_api_outgoingbatch SET id = -id WHERE number > 3")  # not listed: as if elsewhere
    field.pull(second)
    field.hand_on(second)
    (missing,) = field.central.manage_json("custody", "--missing")["custody"]
    assert (missing["signer"], missing["first"], missing["number"]) == ("relay-1", 4, BATCHES)


def test_an_altered_batch_is_refused_and_the_laptop_s_own_still_gets_there(tmp_path: Path, field: Field) -> None:
    field.pull()
    spoiled = bytearray(content(field.middleman, 3))
    spoiled[-5] ^= 1
    change(field.middleman, "UPDATE sync_api_carriedbatch SET content = ? WHERE number = 3", bytes(spoiled))
    with field.middleman.start("relay_transactions", "--json") as process:
        output, errors = process.communicate()
    assert process.returncode == 1
    assert json.loads(output)["batches"] == 2
    assert "batch 3" in errors
    assert "Traceback" not in errors
    second = new_middleman(tmp_path, "relay-2", field.central, field.web)
    field.pull(second)
    field.hand_on(second)
    field.central.manage("consume_transactions")
    assert_exactly_once(field.laptop, field.central)


def test_a_withheld_batch_is_noticed_and_what_follows_waits_for_it(tmp_path: Path, field: Field) -> None:
    field.pull()
    assert change(field.middleman, "DELETE FROM sync_api_carriedbatch WHERE number = 2") == 1
    report = field.hand_on()
    assert (report["batches"], report["early"]) == (1, BATCHES - 2)
    assert field.hand_on()["batches"] == 0
    assert field.pull()["laptops"][0]["batches"] == 1, "the withheld batch was not taken again"
    field.hand_on()
    field.central.manage("consume_transactions")
    assert_exactly_once(field.laptop, field.central)


def test_batches_handed_on_under_each_other_s_numbers_are_put_right(field: Field) -> None:
    field.pull()
    two, three = content(field.middleman, 2), content(field.middleman, 3)
    change(field.middleman, "UPDATE sync_api_carriedbatch SET content = ? WHERE number = 2", three)
    change(field.middleman, "UPDATE sync_api_carriedbatch SET content = ? WHERE number = 3", two)
    with field.middleman.start("relay_transactions") as process:
        _, errors = process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in errors
    change(field.middleman, "DELETE FROM sync_api_carriedbatch WHERE number IN (2, 3)")
    field.pull()
    field.middleman.manage("relay_transactions")
    field.central.manage("consume_transactions")
    assert_exactly_once(field.laptop, field.central)


def test_the_same_batches_by_two_middlemen_in_turns_arrive_once(tmp_path: Path, field: Field) -> None:
    second = new_middleman(tmp_path, "relay-2", field.central, field.web)
    field.pull()
    field.pull(second)
    change(field.middleman, "DELETE FROM sync_api_carriedbatch WHERE number % 2 = 0")
    change(second, "DELETE FROM sync_api_carriedbatch WHERE number % 2 = 1")
    assert field.hand_on()["early"] == BATCHES // 2 - 1
    field.hand_on(second)
    assert field.hand_on()["batches"] == BATCHES // 2 - 1, "the server's receipts for these were not asked for"
    assert field.hand_on()["batches"] == 0
    field.central.manage("consume_transactions")
    assert_exactly_once(field.laptop, field.central)


@pytest.mark.parametrize("failpoint", ON_THE_WAY)
@pytest.mark.parametrize("nth", [1, 2], ids=["first", "with-something-stored"])
def test_a_middleman_killed_anywhere_loses_and_repeats_nothing(field: Field, failpoint: str, nth: int) -> None:
    place = f"{failpoint}:{nth}"
    with (
        running_web(field.laptop) as laptop,
        field.middleman.start("pull_transactions", "--laptop", laptop.url, env={"SYNC_FAILPOINT": place}) as process,
    ):
        process.communicate(timeout=120)
        status = process.returncode
    if status != KILLED:
        status = ended(field.middleman, "relay_transactions", place)
    assert status == KILLED, f"nothing passed {place}"
    make_rows(field.laptop, 200, 210)
    field.pull()
    field.hand_on()
    field.central.manage("consume_transactions")
    assert_exactly_once(field.laptop, field.central)
    field.pull()
    assert field.status()["unsent_batches"] == 0


def test_a_chain_of_middlemen_and_servers(tmp_path: Path, field: Field) -> None:
    """field -> middleman -> second middleman -> community server -> central server, and the receipts back."""
    community = installation(tmp_path, role="server", device="community", apps=APPS)
    trust(community, field.central)
    second = new_middleman(tmp_path, "relay-2", field.central, field.web)
    with running_web(community) as community_web:
        trust(field.central, community)
        trust(field.middleman, community)
        trust(second, community)
        field.pull()
        with running_web(second) as second_web:
            field.middleman.manage("relay_transactions", "--to", second_web.url)
        assert second.manage_json("relay_transactions", "--to", community_web.url)["batches"] == BATCHES
        community.manage("consume_transactions")
        assert community.manage_json("relay_transactions", "--to", field.web.url)["batches"] == BATCHES
        assert community.manage_json("relay_transactions", "--to", field.web.url)["batches"] == 0
    field.central.manage("consume_transactions")
    assert_exactly_once(field.laptop, field.central)
    assert_exactly_once(field.laptop, community)
    second.manage("relay_transactions")
    with running_web(second) as second_web:
        field.middleman.manage("relay_transactions", "--to", second_web.url)
    field.pull()
    assert field.status()["unsent_batches"] == 0


def trust(station: Installation, server: Installation) -> None:
    """Pin the server's key, as two operators on the telephone would."""
    own = server.manage_json("trust_server")["own"]
    station.manage("trust_server", own["name"], "--key", own["public_key"])


def test_only_what_is_in_a_verified_backup_is_purged(field: Field) -> None:
    field.pull()
    field.hand_on()
    assert field.middleman.manage_json("purge_transport")["removed"] == 0
    backup = field.central.folder / "backup.sqlite3"
    with (
        closing(sqlite3.connect(field.central.folder / "db.sqlite3")) as live,
        closing(sqlite3.connect(backup)) as copy,
    ):
        live.backup(copy)
    field.central.manage("mark_durable", "--backup", str(backup))
    field.hand_on()
    report = field.middleman.manage_json("purge_transport")
    assert (report["removed"], report["kept"]) == (BATCHES, 0)
