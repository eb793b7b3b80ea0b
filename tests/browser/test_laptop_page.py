"""A researcher at the laptop, with no network beyond it: reads, sends by keyboard, is told what went wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from playwright.sync_api import expect

from sync_api.client import enrol
from sync_api.enrolment.registration import add_device
from sync_api.models import LocalDevice
from tests.browser.offline import NARROW, WIDE, Visit, offline_browser
from tests.integration.client.road import Road
from tests.integration.field import captured, local

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright's own loop runs in this thread

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True),
]
NAMES = {"default": "laptop-1", "laptop_pg": "laptop-2"}


@pytest.fixture(autouse=True)
def laptop_day(laptop: str, live_server: Any, settings: Any, tmp_path: Path) -> Iterator[str]:
    """An enrolled laptop with 1,240 records that wait. It and its server answer in this process."""
    settings.SYNC_SERVER_DATABASE = "server"
    settings.SYNC_LAPTOP_DATABASE = laptop
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    settings.SYNC_BATCH_LINES = 62
    settings.SYNC_BACKOFF_SECONDS = 0
    settings.SYNC_ATTEMPTS_MAX = 1
    settings.SYNC_CONTACT = "Mona Pule, data manager\n+267 71 234 567, 8 to 18 h"
    name = NAMES[laptop]
    local(laptop, name, baselines={})
    enrol(laptop, live_server.url, add_device("server", name).code, transport=Road())
    LocalDevice.objects.using(laptop).filter(name=name).update(baselines={})
    captured(laptop, name, [2] * 620)
    user = User.objects.create_user("thabo", password="in the field")
    user.user_permissions.add(Permission.objects.get(codename="view_localdevice"))
    return name


def log_in(visit: Visit, url: str) -> None:
    """By keyboard alone."""
    visit.page.goto(f"{url}/laptop/")
    visit.tab_until("id_username")
    visit.page.keyboard.type("thabo")
    visit.tab_until("id_password")
    visit.page.keyboard.type("in the field")
    visit.page.keyboard.press("Enter")
    expect(visit.page.get_by_role("heading", name="Safe to hand over?")).to_be_visible()


def no_road(laptop: str) -> None:
    """The server's address is a closed port."""
    LocalDevice.objects.using(laptop).filter(name=NAMES[laptop]).update(server_url="http://127.0.0.1:9")


def test_everything_is_sent_by_keyboard_and_the_page_follows(laptop: str, live_server: Any) -> None:
    with offline_browser(WIDE) as visit:
        page = visit.page
        page.goto(f"{live_server.url}/laptop/")
        visit.picture("laptop-login")
        log_in(visit, live_server.url)
        expect(page.locator("#answer")).to_have_text("No")
        expect(page.locator("#reason")).to_have_text("1,240 records exist only on this laptop.")
        expect(page.locator("#count-waiting")).to_have_text("1,240")
        visit.picture("laptop-waiting")
        visit.tab_until("button")
        page.keyboard.press("Enter")
        expect(page.locator("#progress")).to_be_visible()
        expect(page.locator("#line")).to_have_text(re.compile(r"Sending: [1-9]\d* of 1,240 records\."))
        visit.picture("laptop-sending")
        expect(page.locator("#answer")).to_have_text("Yes", timeout=30_000)
        expect(page.locator("#count-held")).to_have_text("1,240")
        expect(page.locator("#line")).to_contain_text("1,240 records sent on")
        assert visit.focused() == "button"
        visit.picture("laptop-sent")


def test_on_a_narrow_screen_nothing_is_cut_and_trouble_is_told_in_words(laptop: str, live_server: Any) -> None:
    no_road(laptop)
    with offline_browser(NARROW) as visit:
        page = visit.page
        log_in(visit, live_server.url)
        page.get_by_role("button", name="Send now").click()
        expect(page.locator("#what")).to_contain_text("Your records are safe on this laptop.")
        expect(page.get_by_text("Mona Pule, data manager")).to_be_visible()
        expect(page.locator("#answer")).to_have_text("No")
        visit.picture("laptop-trouble-360")
        page.get_by_text("For the person you call").click()
        expect(page.locator("#detail")).to_contain_text("server_unreachable")
        assert visit.width_of_content() <= NARROW[0]


def test_the_page_works_without_scripts(laptop: str, live_server: Any) -> None:
    no_road(laptop)
    with offline_browser(NARROW, scripts=False) as visit:
        page = visit.page
        page.goto(f"{live_server.url}/laptop/")
        page.fill("#id_username", "thabo")
        page.fill("#id_password", "in the field")
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("button", name="Send now").click()
        expect(page.locator("#what")).to_contain_text("did not answer", timeout=20_000)  # the page loads itself again


def test_a_screen_reader_finds_headings_the_answer_and_the_state(laptop: str, live_server: Any) -> None:
    with offline_browser() as visit:
        log_in(visit, live_server.url)
        page = visit.page
        visit.page.keyboard.press("Tab")
        assert visit.focused() == "Go to the content"
        for title in ("Safe to hand over?", "Where the records are", "Send", "Whom to call"):
            expect(page.get_by_role("region", name=title)).to_be_visible()
        expect(page.get_by_role("status")).to_have_text("Nothing has been sent from this page yet.")
        expect(page.get_by_role("term").filter(has_text="wait on this laptop")).to_be_visible()
        assert page.evaluate("document.documentElement.lang") == "en"


def test_texts_stand_out_from_their_ground(laptop: str, live_server: Any) -> None:
    """WCAG 2.2 AAA: 7 to 1 for every text that is shown."""
    no_road(laptop)
    with offline_browser() as visit:
        log_in(visit, live_server.url)
        visit.page.get_by_role("button", name="Send now").click()
        expect(visit.page.locator("#trouble")).to_be_visible()
        low = visit.page.evaluate(LOW_CONTRASTS)
    assert low == []


LOW_CONTRASTS = """() => {
  const part = (c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const c = numbers(getComputedStyle(element).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const element of document.querySelectorAll("main *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility()) continue;
    const [a, b] = [light(numbers(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 7) low.push(element.textContent.trim() + " " + ratio.toFixed(1));
  }
  return low;
}"""
