"""Driver and researcher at the relay, without a network beyond the two machines: compare before leaving."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from sync_api.models import IncomingBatch
from tests.browser.offline import NARROW, WIDE, Visit, offline_browser
from tests.integration.reconciliation.day import RELAYS, FieldDay

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright's own loop runs in this thread

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]


@pytest.fixture
def day(laptop: str, settings: Any, tmp_path: Path) -> Iterator[FieldDay]:
    """The laptop has four batches and the relay three of them: one specimen is missing and one is older."""
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    settings.SYNC_CONTACT = "Mona Pule, +267 71 234 567"
    settings.SYNC_INSPECT = True
    field_day = FieldDay(laptop, RELAYS[laptop], settings)
    field_day.begin()
    settings.SYNC_RELAY_DATABASE = field_day.relay
    visit = field_day.visit()
    for number in range(1, 9):
        field_day.specimen(number, visit)
    field_day.seal()
    tube = field_day.specimen(9, visit)
    field_day.specimen(10, visit)
    field_day.symptom("COUGH")
    field_day.seal()
    tube.kind = "urine"
    tube.save(using=laptop)
    field_day.specimen(11, visit)
    field_day.seal()
    field_day.carry(1, 2, 3)
    User.objects.create_superuser("driver", password="in the car")
    yield field_day
    User.objects.all().delete()
    field_day.end()


def log_in(visit: Visit, url: str) -> None:
    visit.page.goto(f"{url}/reconcile/")
    visit.page.fill("#id_username", "driver")
    visit.page.fill("#id_password", "in the car")
    visit.page.keyboard.press("Enter")
    expect(visit.page.get_by_role("heading", name="Reconcile with a laptop")).to_be_visible()


def test_what_is_missing_is_named_and_after_another_pull_they_can_leave(day: FieldDay, live_server: Any) -> None:
    last = len(day.batches())
    with offline_browser(WIDE) as visit:
        page = visit.page
        log_in(visit, live_server.url)
        visit.tab_until("id_device")
        visit.tab_until("id_laptop")
        page.keyboard.type(live_server.url)
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("Not everything is here.")
        expect(page.locator(".steps")).to_contain_text(f"Batch {last} of the laptop is not here")
        row = page.locator("#records tbody tr").filter(has_text="REQ-000009")
        expect(row).to_contain_text("differing")
        expect(row).to_contain_text("An older state is here: pull again.")
        expect(page.locator("#records tbody tr").first).to_contain_text("missing")
        numbers = page.locator("#counts tbody tr").filter(has_text="study.specimen").locator("td")
        expect(numbers).to_have_text(["1", "1", "0", "9"])
        visit.picture("reconcile-open")
        assert IncomingBatch.objects.using(day.relay).filter(state="consumed").count() == 3
        day.carry()
        page.fill("#id_laptop", live_server.url)
        page.get_by_role("button", name="Compare").click()
        expect(page.get_by_role("status")).to_contain_text("Everything is here.")
        expect(page.locator(".steps")).to_contain_text("You can leave.")
        visit.picture("reconcile-whole")


def test_a_file_serves_where_the_laptop_has_no_road_also_on_a_narrow_screen(
    day: FieldDay, live_server: Any, tmp_path: Path
) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(day.manifest())
    with offline_browser(NARROW) as visit:
        page = visit.page
        log_in(visit, live_server.url)
        page.set_input_files("#id_manifest", path)
        page.get_by_role("button", name="Compare").click()
        expect(page.locator("#records tbody tr").first).to_contain_text("REQ-000011")
        visit.picture("reconcile-360")
        assert visit.width_of_content() <= NARROW[0]
        path.write_bytes(day.manifest().replace(b"REQ-000001", b"REQ-000099"))
        page.set_input_files("#id_manifest", path)
        page.get_by_role("button", name="Compare").click()
        expect(page.get_by_role("alert")).to_contain_text("it was changed on the way")


def test_without_a_manifest_the_received_records_are_listed(day: FieldDay, live_server: Any) -> None:
    with offline_browser(WIDE) as visit:
        log_in(visit, live_server.url)
        visit.page.goto(f"{live_server.url}/reconcile/?device={day.name}")
        expect(visit.page.locator("#records tbody tr")).to_have_count(11)
        expect(visit.page.locator(".steps")).to_contain_text("Fetch the laptop's manifest")
