"""A person with a browser: logs in, finds what arrived, reads a record's past, resolves an alarm."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect, sync_playwright

from sync_api.deserializer import consume
from sync_api.models import Alarm
from syncserver.study.models import Site
from tests.factories import VisitFactory
from tests.integration.deserializer.received import Laptop, insert, update

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright's own loop runs in this thread

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SITE = UUID(int=1).hex
LOST = UUID(int=2).hex


@pytest.fixture
def page(live_server) -> Iterator[Page]:  # type: ignore[no-untyped-def]
    """A logged-in page of the admin, with something in every table."""
    User.objects.create_superuser("operator", password="in the office")
    VisitFactory()
    laptop = Laptop("default")
    laptop.deliver([insert(Site, id=SITE, code="MOC", name="Mochudy")])
    laptop.deliver(
        [update(Site, id=SITE, code="MOC", name="Mochudi")], [update(Site, id=LOST, code="X", name="never made")]
    )
    consume("default")
    Alarm.objects.create(device=laptop.device, code="batch_fork", text="Two batches have number 1.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("response", lambda answer: problems.append(answer.url) if answer.status >= 400 else None)
        page.goto(f"{live_server.url}/admin/")
        page.fill("#id_username", "operator")
        page.fill("#id_password", "in the office")
        page.click("input[type=submit]")
        yield page
        browser.close()
    assert [problem for problem in problems if "favicon" not in problem] == []


def picture(page: Page, name: str) -> None:
    """Keep a picture of the page when SCREENSHOTS names a folder."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def test_the_front_page_names_every_part(page: Page) -> None:
    picture(page, "index")
    for part in ("Records and their past", "Synchronization", "Example study"):
        expect(page.get_by_role("link", name=part)).to_be_visible()


def test_a_received_transaction_is_found_and_read(page: Page) -> None:
    page.click("text=Incoming transactions")
    page.fill("#searchbar", SITE)
    page.keyboard.press("Enter")
    picture(page, "incoming-list")
    expect(page.locator("#result_list tbody tr")).to_have_count(2)
    page.locator("#result_list tbody tr").last.locator("th a").click()
    picture(page, "incoming-row")
    expect(page.get_by_role("cell", name="Mochudy")).to_be_visible()


def test_a_captured_row_is_read(page: Page) -> None:
    page.click("text=Outgoing transactions")
    picture(page, "outgoing-list")
    page.locator("#result_list tbody tr").filter(has_text="study.visit").first.locator("th a").click()
    picture(page, "outgoing-row")
    expect(page.get_by_role("cell", name="weight_kg")).to_be_visible()


def test_a_records_past_is_read_version_by_version(page: Page) -> None:
    page.click("text=Site mirrors")
    picture(page, "mirror-list")
    rows = page.locator("#result_list tbody tr").filter(has_text="laptop-9")
    expect(rows).to_have_count(2)
    rows.first.locator("th a").click()
    picture(page, "mirror-row")
    expect(page.locator("#content")).to_contain_text("Mochudi")


def test_a_parked_unit_says_what_to_do(page: Page) -> None:
    page.click("text=Parked units")
    picture(page, "parked-list")
    page.locator("#result_list tbody tr").first.locator("th a").click()
    picture(page, "parked-row")
    expect(page.get_by_role("cell", name="never made")).to_be_visible()


def test_an_alarm_is_resolved_by_the_operator(page: Page) -> None:
    page.click("text=Alarms")
    page.check("#action-toggle")
    page.select_option("select[name=action]", "resolve")
    page.click("button[name=index]")
    picture(page, "alarms")
    expect(page.locator(".messagelist")).to_contain_text("1 alarms resolved")
    assert Alarm.objects.get().resolved_by == "operator"


def test_a_visit_is_typed_in_and_recorded_with_its_user(page: Page) -> None:
    page.locator(".model-symptom .addlink").first.click()
    page.fill("#id_code", "COUGH")
    page.fill("#id_name", "cough")
    page.fill("#id__sync_reason", "on the new list")
    picture(page, "symptom-form")
    page.click("input[name=_save]")
    page.click("text=Outgoing transactions")
    picture(page, "outgoing-after")
    expect(page.locator("#result_list tbody tr").first).to_contain_text("on the new list")
    expect(page.locator("#result_list tbody tr").first).to_contain_text("operator")
