"""A data manager with a browser: finds a record, follows its past in the audit, downloads, reads the dictionary."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from audit.index import register, reindex, unregister
from audit.models import TableChanges
from sync_api.deserializer import consume
from syncserver.study.models import Participant, Site
from tests.browser.offline import NARROW, WIDE, Visit, offline_browser
from tests.integration.deserializer.received import Laptop, insert, update

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")  # Playwright's own loop runs in this thread

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

SITE, PERSON = UUID(int=1).hex, UUID(int=2).hex


@pytest.fixture
def filled(settings: Any) -> Iterator[None]:
    settings.SYNC_SERVER_DATABASE = "default"
    register(Participant, identifiers=("identifier", "family_name"))
    laptop = Laptop("default")
    person = {
        "id": PERSON,
        "identifier": "P-0001",
        "given_name": "Ada",
        "sex": "F",
    }
    laptop.deliver([insert(Site, id=SITE, code="MOC", name="Mochudi")])
    laptop.deliver([insert(Participant, **person, family_name="Lovelase")])
    laptop.deliver([update(Participant, **person, family_name="=Lovelace")])
    assert consume("default").total("parked") == 0
    TableChanges.objects.create(
        device=laptop.device,
        committed_at=TableChanges.objects.latest("committed_at").committed_at,
        committed_by="tablet-user",
        model="study.site",
        code="upload_refused",
        text="The site has no name. Nothing was written; correct it on the tablet and upload again.",
    )
    reindex("default")
    User.objects.create_superuser("manager", password="in the office")
    yield
    unregister(Participant)


def log_in(visit: Visit, url: str) -> None:
    visit.page.goto(f"{url}/records/")
    visit.page.fill("#id_username", "manager")
    visit.page.fill("#id_password", "in the office")
    visit.page.keyboard.press("Enter")
    expect(visit.page.get_by_role("heading", name="Records", exact=True)).to_be_visible()


def test_a_record_is_found_and_its_past_is_followed(filled: None, live_server: Any, tmp_path: Path) -> None:
    with offline_browser(WIDE) as visit:
        page = visit.page
        log_in(visit, live_server.url)
        page.fill("#id_q", "p-00")
        page.keyboard.press("Enter")
        expect(page.locator("#found tbody tr")).to_have_count(1)
        visit.picture("records-found")
        page.locator("#found").get_by_role("link", name="changes").click()
        expect(page.locator("#changes tbody tr")).to_have_count(2)
        expect(page.locator("#changes tbody tr").first).to_contain_text("1 modified out, PKs [")
        page.goto(f"{live_server.url}/records/changes/")
        visit.picture("records-changes")
        page.check("#id_failed")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("#changes tbody tr")).to_have_count(1)
        expect(page.locator("#changes")).to_contain_text("failed, upload_refused")
        page.goto(f"{live_server.url}/records/")
        with page.expect_download() as download:
            page.get_by_role("row", name="study.participant").get_by_role("link", name="CSV").first.click()
        download.value.save_as(tmp_path / "file.csv")
        assert "'=Lovelace" in (tmp_path / "file.csv").read_text()


def test_the_dictionary_is_read(filled: None, live_server: Any) -> None:
    with offline_browser(WIDE) as visit:
        log_in(visit, live_server.url)
        visit.page.get_by_role("link", name="Data dictionary").click()
        expect(visit.page.locator("section").filter(has_text="study_participant_mirror")).to_contain_text(
            "consented_at"
        )
        visit.page.locator("section").filter(has_text="study_participant_mirror").scroll_into_view_if_needed()
        visit.picture("records-dictionary", full_page=False)


def test_the_audit_fits_a_telephone(filled: None, live_server: Any) -> None:
    with offline_browser(NARROW) as visit:
        log_in(visit, live_server.url)
        visit.page.get_by_role("link", name="What changed").click()
        expect(visit.page.locator("#changes tbody tr").first).to_be_visible()
        assert visit.width_of_content() <= NARROW[0]
        visit.picture("records-changes-360")
