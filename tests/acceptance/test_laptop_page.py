"""The laptop's page with real processes: a push outlives its page, and one that is killed is known and goes on."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import Installation, Web, enrol, installation, running_web

pytestmark = pytest.mark.long
APPS = ["tests.portal"]
ROWS = 40
SECONDS_MAX = 60


@pytest.fixture(params=["sqlite", "postgresql"])
def laptop(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    more = {"TEST_BATCH_LINES": "5", "SYNC_CONTACT": "Mona Pule, +267 71 234 567"}
    laptop = installation(tmp_path, role="client", device="laptop-1", apps=APPS, vendor=request.param, **more)
    user = ["--username", "thabo", "--email", "", "--noinput"]
    laptop.manage("createsuperuser", *user, DJANGO_SUPERUSER_PASSWORD="field")
    return laptop


@pytest.fixture
def central(tmp_path: Path, laptop: Installation) -> Iterator[Installation]:
    central = installation(tmp_path, role="server", device="central", apps=APPS)
    with running_web(central) as web:
        enrol(laptop, central, web.url)
        laptop.manage("portal_make", "0", str(ROWS))
        yield central


@contextmanager
def logged_in(web: Web) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=web.url, headers={"Referer": web.url}, timeout=30, follow_redirects=True) as browser:
        form = {"username": "thabo", "password": "field", **token(browser.get("/laptop/"))}
        assert browser.post("/laptop/login", data=form).status_code == 200
        yield browser


def token(page: httpx.Response) -> dict[str, str]:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert found, page.text[:500]
    return {"csrfmiddlewaretoken": found[1]}


def press(browser: httpx.Client) -> None:
    browser.post("/laptop/send", data=token(browser.get("/laptop/")))


def state(browser: httpx.Client) -> dict[str, Any]:
    told: dict[str, Any] = browser.get("/laptop/state", headers={"Accept": "application/json"}).json()
    return told


def ended(browser: httpx.Client) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        try:
            told = state(browser)
        except httpx.TransportError:
            told = {"sending": {"state": "running"}}  # its process was killed; the next one is on its way
        if told["sending"]["state"] != "running":
            return told
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_killed_push_is_told_as_interrupted_and_the_next_press_sends_the_rest(
    laptop: Installation, central: Installation
) -> None:
    with running_web(laptop, SYNC_FAILPOINT="push.after_receipt:3") as web, logged_in(web) as browser:
        before = state(browser)
        assert before["answer"] == "No"
        press(browser)
        killed = ended(browser)
        assert killed["sending"]["state"] == "failed"
        assert "interrupted" in killed["sending"]["what"]
        assert killed["answer"] == "No"
        assert int(killed["counts"][0]["number"]) < int(before["counts"][0]["number"])
    with running_web(laptop) as web, logged_in(web) as browser:
        press(browser)
        told = ended(browser)
        assert (told["sending"]["state"], told["answer"], told["counts"][0]["number"]) == ("done", "Yes", "0")
    central.manage("consume_transactions")
    assert central.manage_json("sync_status")["fleet"]
    with running_web(laptop) as web, logged_in(web) as browser:
        press(browser)
        applied = ended(browser)
        assert [count["number"] for count in applied["counts"][:3]] == ["0", "0", "0"]
        assert applied["counts"][3]["number"] == before["counts"][0]["number"]
