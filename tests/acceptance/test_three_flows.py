"""The three ways of the field's data, each over a road that cuts, stalls, half-closes, crawls and lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.test_kills import APPS, assert_exactly_once, make_rows
from tests.acceptance.test_middleman import new_middleman
from tests.faulty_road import Fault, faulty_road
from tests.processes import Installation, enrol, installation, running_web

FAULTS = [
    Fault("portal"),
    Fault("cut", after=700),
    Fault("cut", after=40, of="answer"),
    Fault("half_close", after=900),
    Fault("stall", after=1_500),
    Fault("stall", after=0, of="answer"),
    Fault("cut", after=0, of="answer"),
    Fault("slow"),
]
ENVIRONMENT = {"TEST_BATCH_LINES": "20", "TEST_READ_SECONDS": "3"}
TRIES_MAX = 12


def push_until_done(laptop: Installation, command: str = "push_transactions", *arguments: str) -> list[int]:
    """As a person at the laptop would: again, until it says that it is done. The exit statuses."""
    statuses = []
    for _ in range(TRIES_MAX):
        with laptop.start(command, *arguments) as process:
            output, errors = process.communicate(timeout=180)
        assert "Traceback" not in errors, errors
        statuses.append(process.returncode)
        if process.returncode == 0:
            return statuses
        assert errors.strip(), output
    raise AssertionError(f"not done after {TRIES_MAX} tries: {errors}")


@pytest.mark.parametrize("vendor", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def test_laptop_to_server(tmp_path: Path, vendor: str) -> None:
    laptop = installation(tmp_path, role="client", device="laptop-1", apps=APPS, **ENVIRONMENT)
    central = installation(tmp_path, role="server", device="central", apps=APPS, vendor=vendor)
    with running_web(central) as web, faulty_road(web.url, FAULTS) as road:
        road.faults, later = [], road.faults
        enrol(laptop, central, road.url)
        make_rows(laptop, 0, 60)
        road.faults = later
        statuses = push_until_done(laptop)
        central.manage("consume_transactions")
        assert len(road.met) == len(FAULTS)
        assert statuses[0] != 0, "the login page was taken for the server"
    assert_exactly_once(laptop, central)


@pytest.mark.long
@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_laptop_to_middleman_to_server(tmp_path: Path, vendor: str) -> None:
    laptop = installation(tmp_path, role="client", device="laptop-1", apps=APPS, **ENVIRONMENT)
    central = installation(tmp_path, role="server", device="central", apps=APPS, vendor=vendor)
    with running_web(central) as web, faulty_road(web.url, []) as to_server:
        enrol(laptop, central, web.url)
        middleman = new_middleman(tmp_path, "relay-1", central, web)
        middleman.extra.update(ENVIRONMENT)
        make_rows(laptop, 0, 60)
        with running_web(laptop) as own, faulty_road(own.url, FAULTS) as to_laptop:
            statuses = push_until_done(middleman, "pull_transactions", "--laptop", to_laptop.url)
            assert statuses[0] != 0, "the login page was taken for the laptop"
            assert len(to_laptop.met) == len(FAULTS)
        to_server.faults = list(FAULTS)
        statuses = push_until_done(middleman, "relay_transactions", "--to", to_server.url)
        assert statuses[0] != 0, "the login page was taken for the server"
        assert len(to_server.met) == len(FAULTS)
        central.manage("consume_transactions")
    assert_exactly_once(laptop, central)


@pytest.mark.long
@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_laptop_to_site_server_and_by_file_to_the_central_server(tmp_path: Path, vendor: str) -> None:
    laptop = installation(tmp_path, role="client", device="laptop-1", apps=APPS, **ENVIRONMENT)
    site = installation(tmp_path, role="server", device="site-a", apps=APPS, vendor=vendor)
    central = installation(tmp_path, role="server", device="central", apps=APPS, vendor=vendor)
    key = site.manage_json("trust_server")["own"]["public_key"]
    central.manage("trust_server", "site-a", "--key", key)
    stick = tmp_path / "stick"
    (stick / "incoming").mkdir(parents=True)
    with running_web(site) as web, faulty_road(web.url, []) as road:
        enrol(laptop, site, road.url)
        make_rows(laptop, 0, 60)
        road.faults = list(FAULTS)
        push_until_done(laptop)
        site.manage("consume_transactions")
        site.manage("export_bundle", "--to", str(stick / "incoming"), "--for", "central")
        central.manage("import_bundle", "--folder", str(stick))
        central.manage("consume_transactions")
    assert_exactly_once(laptop, site)
    assert_exactly_once(laptop, central)
