"""Cloned laptops, laptops and servers restored from older copies: named in plain words, and made whole again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.acceptance.test_kills import APPS, assert_exactly_once, make_rows
from tests.processes import Installation, Web, enrol, installation, start_web

pytestmark = pytest.mark.long

LATER = "2100-01-01T00:00:00+00:00"


class Stage:
    """A laptop and its server, which can be copied and put back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.laptop = installation(folder, role="client", device="laptop-1", apps=APPS, TEST_BATCH_LINES="20")
        self.central = installation(folder, role="server", device="central", apps=APPS)
        self.web: Web = start_web(self.central)
        enrol(self.laptop, self.central, self.web.url)

    def sync(self) -> None:
        self.laptop.manage("push_transactions")
        self.central.manage("consume_transactions")

    def refused(self, *arguments: str) -> str:
        """What a command that must fail tells the person."""
        with self.laptop.start(*arguments) as process:
            output, errors = process.communicate(timeout=120)
        assert process.returncode != 0, output
        assert "Traceback" not in errors
        return errors

    def codes(self, device: str, *, timeline: str = "captured", as_of: str = LATER) -> set[str]:
        """The species codes of the device's records in the mirror as of a moment."""
        arguments = ("--as-of", as_of, "--timeline", timeline, "--device", device, "--format", "jsonl")
        lines = self.central.manage("snapshot", "portal.RodentSpecies", *arguments).splitlines()
        return {json.loads(line)["speciescode"] for line in lines}

    def enrol_again(self, laptop: Installation) -> None:
        enrol(laptop, self.central, self.web.url)
        laptop.manage("baseline")

    def keep(self, one: Installation) -> Path:
        kept = self.folder / f"copy-of-{one.device}"
        if one is self.central:
            self.web.stop()
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(one.folder, kept)
        if one is self.central:
            self.web = start_web(one, port=self.web.port)
        return kept

    def put_back(self, one: Installation, kept: Path) -> None:
        if one is self.central:
            self.web.stop()
        shutil.rmtree(one.folder)
        shutil.copytree(kept, one.folder)
        if one is self.central:
            self.web = start_web(one, port=self.web.port)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    try:
        yield stage
    finally:
        stage.web.stop()


def test_a_server_restored_from_yesterday_gets_everything_again(stage: Stage) -> None:
    make_rows(stage.laptop, 0, 40)
    stage.sync()
    yesterday = stage.keep(stage.central)
    make_rows(stage.laptop, 40, 80)
    stage.sync()
    stage.put_back(stage.central, yesterday)
    stage.sync()
    make_rows(stage.laptop, 80, 90)
    stage.sync()
    assert_exactly_once(stage.laptop, stage.central)


def test_a_server_restored_from_before_the_enrolment_knows_its_own_certificate_again(stage: Stage) -> None:
    laptop2 = replace(stage.laptop, folder=stage.folder / "laptop-2", device="laptop-2")
    before = stage.keep(stage.central)
    make_rows(stage.laptop, 0, 40)
    stage.sync()
    newcomer = installation(stage.folder, role="client", device=laptop2.device, apps=APPS, TEST_BATCH_LINES="20")
    enrol(newcomer, stage.central, stage.web.url)
    make_rows(newcomer, 0, 10)
    newcomer.manage("push_transactions")
    stage.put_back(stage.central, before)
    newcomer.manage("push_transactions")
    stage.sync()
    held = json.loads(stage.central.manage("sync_status", "--json"))
    assert {device["device"] for device in held["fleet"]} >= {"laptop-1", "laptop-2"}


def test_a_restored_laptop_without_new_work_is_told_and_made_whole(stage: Stage) -> None:
    make_rows(stage.laptop, 0, 20)
    stage.sync()
    old = stage.keep(stage.laptop)
    make_rows(stage.laptop, 20, 60)
    stage.sync()
    stage.put_back(stage.laptop, old)
    told = stage.refused("push_transactions")
    assert "restored from an older copy" in told
    assert "add_device laptop-1" in told
    stage.enrol_again(stage.laptop)
    stage.sync()
    # what the laptop lost is still in the mirror, and named
    differences = json.loads(stage.central.manage("device_differences", "laptop-1", "--json"))
    assert differences["missing_on_device"] == {"portal.rodentspecies": 40}


def test_a_restored_laptop_with_new_work_forks_and_is_made_whole(stage: Stage) -> None:
    make_rows(stage.laptop, 0, 20)
    stage.sync()
    old = stage.keep(stage.laptop)
    make_rows(stage.laptop, 20, 60)
    stage.sync()
    stage.put_back(stage.laptop, old)
    make_rows(stage.laptop, 100, 110)
    told = stage.refused("push_transactions")
    assert "cloned, or restored from an older copy" in told
    stage.enrol_again(stage.laptop)
    stage.sync()
    # the new records took the keys of ten lost ones: people decide, and neither version goes
    differences = json.loads(stage.central.manage("device_differences", "laptop-1", "--json"))
    assert differences["missing_on_device"] == {"portal.rodentspecies": 30}
    assert len(differences["differing"]) == 10
    for unit in differences["differing"]:
        stage.central.manage("parked", "accept", str(unit["id"]), "--reason", "entered after the laptop was restored")
    assert stage.codes("laptop-1") == {f"R{number}" for number in (*range(20), *range(30, 60), *range(100, 110))}
    before = stage.codes("laptop-1", timeline="committed", as_of=differences["at"])
    assert before == {f"R{number}" for number in range(60)}
    # and the next ones take the keys of the rest: once those are preserved, they follow
    make_rows(stage.laptop, 110, 112)
    stage.sync()
    (entry,) = json.loads(stage.central.manage("sync_status", "--json"))["fleet"]
    assert entry["parked_units"] == 2
    stage.central.manage("device_differences", "laptop-1", "--preserve", "--reason", "lost with the disk")
    stage.central.manage("parked", "retry")
    assert stage.codes("laptop-1") >= {"R110", "R111", "R31", "R32"}


def test_the_clone_of_a_laptop_goes_on_under_a_name_of_its_own(stage: Stage) -> None:
    make_rows(stage.laptop, 0, 20)
    stage.sync()
    shutil.copytree(stage.laptop.folder, stage.folder / "clone")
    make_rows(stage.laptop, 20, 30)
    stage.sync()
    clone = replace(
        stage.laptop, folder=stage.folder / "clone", database_url=f"sqlite:///{stage.folder}/clone/db.sqlite3"
    )
    make_rows(clone, 200, 210)
    with clone.start("push_transactions") as process:
        _, told = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "cloned" in told
    renamed = replace(clone, device="laptop-1b")
    renamed.manage("migrate", "--verbosity", "0")
    enrol(renamed, stage.central, stage.web.url)
    renamed.manage("baseline")
    renamed.manage("push_transactions")
    stage.central.manage("consume_transactions")
    assert stage.codes("laptop-1b") == {f"R{number}" for number in (*range(20), *range(200, 210))}
    make_rows(stage.laptop, 30, 35)
    stage.sync()
    assert stage.codes("laptop-1") == {f"R{number}" for number in range(35)}
