"""The laptop's page: its numbers and its answer follow receipts, its button sends, its errors are words."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.staticfiles import finders
from django.test import Client
from django.utils import timezone

from audit.models import Device
from sync_api.client import enrol, push
from sync_api.enrolment.registration import add_device, revoke_device
from sync_api.models import Alarm, LocalDevice, OutgoingBatch
from sync_api.pages import sending as sending_module
from sync_api.pages import words
from sync_api.pages.sending import last_sending, start_sending
from sync_api.pages.standing import own_device, safe_to_hand_over, standing_of
from sync_api.sealing import seal
from tests.integration.client.road import Road, answers
from tests.integration.field import captured

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
URL = "http://127.0.0.1:9"
SERVER = "server"
NAMES = {"default": "laptop-1", "laptop_pg": "laptop-2"}
PAGE = "/laptop/"
JSON = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def laptop_day(laptop: str, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.SYNC_SERVER_DATABASE = SERVER
    settings.SYNC_LAPTOP_DATABASE = laptop
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    settings.SYNC_BATCH_LINES = 4
    settings.SYNC_BACKOFF_SECONDS = 0
    settings.SYNC_CONTACT = "Mona Pule\n+267 71 234 567"
    reset(laptop)
    yield
    reset(laptop)
    User.objects.all().delete()


def reset(laptop: str) -> None:
    """The laptop as it was when its database was made."""
    new = LocalDevice(name=NAMES[laptop], role="client", epoch=secrets.token_hex(16), began={"kind": "fresh"})
    facts = {field.attname: getattr(new, field.attname) for field in LocalDevice._meta.fields if not field.primary_key}
    LocalDevice.objects.using(laptop).update_or_create(name=new.name, defaults=facts)


@pytest.fixture
def name(laptop: str) -> str:
    """The laptop, enrolled over the road."""
    enrol(laptop, URL, add_device(SERVER, NAMES[laptop]).code, transport=Road())
    LocalDevice.objects.using(laptop).filter(name=NAMES[laptop]).update(baselines={})
    return NAMES[laptop]


@pytest.fixture
def road(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Road]:
    """What the button sends over: the server's real views, with a trouble for each request that has one."""

    def lay(*trouble: Any) -> Road:
        laid = Road(*trouble)
        opened = httpx.Client.__init__

        def opening(self: httpx.Client, **options: Any) -> None:
            opened(self, **{**options, "transport": laid})

        monkeypatch.setattr(httpx.Client, "__init__", opening)
        return laid

    return lay


@pytest.fixture
def web() -> Client:
    user = User.objects.create_user("thabo", password="in the field")
    user.user_permissions.add(Permission.objects.get(codename="view_localdevice"))
    client = Client()
    client.force_login(user)
    return client


def now(web: Client) -> dict[str, Any]:
    body: dict[str, Any] = web.get(f"{PAGE}state").json()
    body["numbers"] = {count["name"]: count["number"] for count in body["counts"]}
    return body


def sent(laptop: str) -> Any:
    deadline = time.monotonic() + 30
    while (told := last_sending(laptop)).is_running:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return told


def test_records_wait_until_the_server_s_receipt_and_then_it_is_safe(
    laptop: str, name: str, web: Client, road: Any
) -> None:
    captured(laptop, name, [1, 2, 3, 1, 1, 4])
    before = now(web)
    assert (before["answer"], before["numbers"]["waiting"], before["button"]) == ("No", "12", "Send now")
    assert before["reason"] == "12 records exist only on this laptop."
    road()
    assert web.post(f"{PAGE}send").headers["Location"] == PAGE
    told = sent(laptop)
    assert (told.state, told.sent, told.total) == ("done", 12, 12)
    after = now(web)
    assert (after["answer"], after["numbers"]) == (
        "Yes",
        {"waiting": "0", "carried": "0", "held": "12", "applied": "0"},
    )
    assert "server-1 holds everything" in after["reason"]
    assert after["sending"]["line"].startswith("12 records sent on")


def test_sealing_alone_or_a_sending_without_receipt_is_not_safe(laptop: str, name: str, web: Client, road: Any) -> None:
    captured(laptop, name, [1, 2])
    seal(laptop, name)
    assert now(web)["numbers"]["waiting"] == "3"
    road(*[answers(200, b"<html>Please log in</html>", Content_Type="text/html")] * 9)
    web.post(f"{PAGE}send")
    assert sent(laptop).code == "not_the_server"
    told = now(web)
    assert (told["answer"], told["numbers"]["waiting"]) == ("No", "3")
    assert "log in" in told["sending"]["what"]
    assert "Your records are safe on this laptop." in told["sending"]["what"]


def test_what_the_server_applied_and_what_a_middleman_carries_are_told_apart(
    laptop: str, name: str, web: Client
) -> None:
    captured(laptop, name, [4, 4, 4])
    seal(laptop, name)
    batches = OutgoingBatch.objects.using(laptop)
    LocalDevice.objects.using(laptop).filter(name=name).update(acknowledged_number=2, applied_number=1)
    batches.filter(number__lte=2).update(receipts={"held": {"signer": "server-1"}})
    batches.filter(number=3).update(receipts={"relay": {"signer": "car-1"}})
    told = now(web)
    assert told["numbers"] == {"waiting": "0", "carried": "4", "held": "4", "applied": "4"}
    assert told["answer"] == "No"
    assert "middleman" in told["reason"]


def test_refused_batches_of_an_earlier_time_are_not_safe(laptop: str, name: str, web: Client) -> None:
    captured(laptop, name, [4, 1])
    seal(laptop, name)
    OutgoingBatch.objects.using(laptop).filter(number=1).update(receipts={"refused": "epoch_closed"})
    told = now(web)
    assert (told["answer"], told["numbers"]["waiting"]) == ("No", "5")
    assert "refused" in told["reason"]


def test_a_laptop_of_which_a_receipt_knows_another_copy_is_not_safe(laptop: str, name: str, web: Client) -> None:
    device = Device.objects.using(laptop).create(name=name)
    alarm = Alarm.objects.using(laptop).create(device=device, code="receipt_differs", text="Two copies.")
    assert "another copy" in now(web)["reason"]
    Alarm.objects.using(laptop).filter(pk=alarm.pk).update(resolved_at=timezone.now())
    assert now(web)["answer"] == "Yes"


def test_a_laptop_without_server_or_baseline_or_whole_capture_is_not_safe(laptop: str) -> None:
    device = own_device(laptop)
    assert device is not None
    standing = standing_of(laptop, device)
    assert "not connected" in safe_to_hand_over(laptop, standing, is_sending=False).reason
    LocalDevice.objects.using(laptop).update(baselines={"study.site": {"done": False, "after": None}})
    assert "baseline" in safe_to_hand_over(laptop, standing, is_sending=False).next_step


def test_an_unreachable_server_is_told_in_words_with_whom_to_call(
    laptop: str, name: str, web: Client, settings: Any
) -> None:
    settings.SYNC_ATTEMPTS_MAX = 1
    captured(laptop, name, [1])
    web.post(f"{PAGE}send")
    sent(laptop)
    text = web.get(PAGE).content.decode()
    assert "The server did not answer" in text
    assert "Mona Pule" in text
    assert "server_unreachable" in text


def test_a_revoked_laptop_is_told_whom_to_call(laptop: str, name: str, web: Client, road: Any) -> None:
    captured(laptop, name, [1])
    revoke_device(SERVER, name, reason="lost")
    road()
    web.post(f"{PAGE}send", headers=JSON)
    assert sent(laptop).code == "device_revoked"
    assert "does not take records" in now(web)["sending"]["what"]


def test_a_second_press_starts_no_second_push(laptop: str, name: str, road: Any) -> None:
    captured(laptop, name, [4, 4])
    laid = road(lambda request, ask: (time.sleep(0.5), ask(request))[1])
    assert start_sending(laptop)
    assert not start_sending(laptop)
    assert sent(laptop).state == "done"
    assert laid.requests.count("POST /api/v1/batches") == 2


def test_a_push_whose_process_died_is_told_as_interrupted(laptop: str, name: str, web: Client) -> None:
    folder = sending_module.device_folder(name)
    sending_module._write(folder, sending_module.Sending(state="running", began_at="2026-05-04T08:00:00+00:00"))
    assert last_sending(laptop).code == "sending_interrupted"
    assert "goes on where it stopped" in now(web)["sending"]["to_do"]


def test_a_damaged_progress_file_is_no_trouble(laptop: str, name: str) -> None:
    (sending_module.device_folder(name) / sending_module.PROGRESS_FILE).write_bytes(b"[1")
    assert last_sending(laptop).state == "none"


def test_an_unexpected_error_is_told_without_its_values(
    laptop: str, name: str, web: Client, road: Any, caplog: Any
) -> None:
    def fail(request: Any, ask: Any) -> Any:
        raise RuntimeError("Jane Doe")

    captured(laptop, name, [1])
    road(fail)
    web.post(f"{PAGE}send")
    assert sent(laptop).code == "internal_error"
    assert "Jane" not in web.get(PAGE).content.decode() + caplog.text


def test_the_page_asks_for_a_login_and_for_the_permission_or_staff(laptop: str) -> None:
    client = Client()
    assert client.get(PAGE).headers["Location"] == "/laptop/login?next=/laptop/"
    assert client.get(f"{PAGE}state", headers=JSON).status_code == 401
    assert client.post(f"{PAGE}send").status_code == 302
    client.force_login(User.objects.create_user("guest"))
    assert client.get(PAGE).status_code == 403
    assert client.post(f"{PAGE}send").status_code == 403
    assert last_sending(laptop).state == "none"
    client.force_login(User.objects.create_user("staff", is_staff=True))
    assert client.get(PAGE).status_code == 200


def test_a_person_logs_in_on_the_page_s_own_form(laptop: str) -> None:
    User.objects.create_user("thabo", password="in the field", is_staff=True)
    client = Client()
    wrong = client.post("/laptop/login", {"username": "thabo", "password": "no"})
    assert "do not fit" in wrong.content.decode()
    right = client.post("/laptop/login", {"username": "thabo", "password": "in the field", "next": PAGE})
    assert right.headers["Location"] == PAGE
    foreign = {"username": "thabo", "password": "in the field", "next": "https://elsewhere.example/"}
    assert Client().post("/laptop/login", foreign).headers["Location"] == PAGE
    assert client.post("/laptop/logout").headers["Location"] == "/laptop/login"


def test_sending_needs_a_post_with_its_token(laptop: str, web: Client) -> None:
    assert web.get(f"{PAGE}send").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="thabo"))
    assert strict.post(f"{PAGE}send").status_code == 403


def test_a_server_has_no_laptop_page(server: str, settings: Any) -> None:
    settings.SYNC_LAPTOP_DATABASE = server
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    assert client.get(PAGE).status_code == 404


def test_everything_on_the_page_is_its_own(laptop: str, name: str, web: Client) -> None:
    answer = web.get(PAGE)
    text = answer.content.decode()
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "no-store" in answer.headers["Cache-Control"]
    assert re.findall(r"""(?:src|href|action)=["'](?:https?:)?//""", text) == []
    assert re.findall(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", text) == []
    for address in re.findall(r'(?:src|href)="/static/([^"]+)"', text):
        path = finders.find(address)
        assert path
        assert not re.findall(rb"https?://(?!www\.w3\.org/2000/svg)", Path(path).read_bytes())


@pytest.mark.parametrize("code", sorted(words.TROUBLES))
def test_each_translated_code_is_one_that_exists(code: str) -> None:
    source = "".join(path.read_text() for path in Path("sync_api").rglob("*.py") if path.name != "words.py")
    assert f'"{code}"' in source


def test_a_push_by_command_shows_on_the_page_too(laptop: str, name: str, web: Client) -> None:
    captured(laptop, name, [2])
    push(laptop, transport=Road())
    assert now(web)["numbers"]["held"] == "2"
