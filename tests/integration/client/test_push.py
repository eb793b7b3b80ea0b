"""Pushing: everything arrives once, whatever the road does; only a signed receipt marks it as delivered."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest

from sync_api import exceptions as errors
from sync_api.client import enrol, push
from sync_api.client import http as client_http
from sync_api.client.waiting import device_status, waiting_transactions
from sync_api.enrolment.registration import add_device, revoke_device
from sync_api.models import (
    Alarm,
    IncomingBatch,
    IncomingEpoch,
    IncomingTransaction,
    LocalDevice,
    OutgoingBatch,
    OutgoingTransaction,
)
from sync_api.pages.standing import standing_of
from sync_api.sealing import seal
from sync_api.verification import verify_chain
from tests.integration.client.road import Road, answers, cut_after, cut_before
from tests.integration.field import captured

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
URL = "http://127.0.0.1:9"
SERVER = "server"
NAMES = {"default": "laptop-1", "laptop_pg": "laptop-2"}


@pytest.fixture(autouse=True)
def field_day(laptop: str, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.SYNC_SERVER_DATABASE = SERVER
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    settings.SYNC_BATCH_LINES = 4
    settings.SYNC_BACKOFF_SECONDS = 0
    reset(laptop)
    yield
    reset(laptop)


def reset(laptop: str) -> None:
    """The laptop as it was when its database was made."""
    new = LocalDevice(name=NAMES[laptop], role="client", epoch=secrets.token_hex(16), began={"kind": "fresh"})
    facts = {field.attname: getattr(new, field.attname) for field in LocalDevice._meta.fields if not field.primary_key}
    LocalDevice.objects.using(laptop).update_or_create(name=new.name, defaults=facts)


@pytest.fixture
def name(laptop: str) -> str:
    """The laptop, enrolled over the road."""
    code = add_device(SERVER, NAMES[laptop]).code
    enrol(laptop, URL, code, transport=Road())
    LocalDevice.objects.using(laptop).filter(name=NAMES[laptop]).update(baselines={})
    return NAMES[laptop]


def arrived() -> list[str]:
    return list(IncomingTransaction.objects.using(SERVER).order_by("id").values_list("tx_pk", flat=True))


def delivered(laptop: str) -> int:
    return OutgoingTransaction.objects.using(laptop).filter(is_consumed_server=True).count()


def test_everything_captured_arrives_in_order_and_is_marked(laptop: str, name: str) -> None:
    rows = captured(laptop, name, [1, 2, 3, 1, 1, 4])
    assert waiting_transactions(laptop) == 12
    counted: list[int] = []
    report = push(laptop, transport=Road(), progress=counted.append)
    assert report.transactions == sum(counted) == 12
    assert arrived() == [row.tx_pk for row in rows]
    assert delivered(laptop) == 12
    assert waiting_transactions(laptop) == 0
    assert verify_chain(laptop).problems == verify_chain(SERVER).problems == []
    device = LocalDevice.objects.using(laptop).get(name=name)
    assert device.acknowledged_number == device.head_number == report.batches


def test_with_nothing_to_send_there_is_one_request(laptop: str, name: str) -> None:
    captured(laptop, name, [1])
    push(laptop, transport=Road())
    road = Road()
    report = push(laptop, transport=road)
    assert road.requests == ["GET /api/v1/devices/me"]
    assert (report.batches, report.applied_number, report.parked) == (0, 0, 0)


def test_one_batch_is_one_request(laptop: str, name: str, settings: Any) -> None:
    settings.SYNC_BATCH_LINES = 5_000
    captured(laptop, name, [1] * 100)
    road = Road()
    push(laptop, transport=road)
    assert road.requests == ["POST /api/v1/batches"]


def test_the_first_batch_is_small_and_each_next_twice_as_large(
    laptop: str, name: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("sync_api.client.push"), "FIRST_BATCH_LINES", 2)
    settings.SYNC_BATCH_LINES = 5
    rows = captured(laptop, name, [1] * 12)
    push(laptop, transport=Road())
    assert list(IncomingBatch.objects.using(SERVER).order_by("number").values_list("lines", flat=True)) == [2, 4, 5, 1]
    assert arrived() == [row.tx_pk for row in rows]


@pytest.mark.parametrize("trouble", [cut_before, cut_after, answers(503), answers(502, b"<html>")])
def test_a_cut_road_is_tried_again_and_nothing_comes_twice(laptop: str, name: str, trouble: Any) -> None:
    rows = captured(laptop, name, [1] * 10)
    push(laptop, transport=Road(None, trouble, trouble))
    assert arrived() == [row.tx_pk for row in rows]


def test_after_all_attempts_it_says_so_and_goes_on_next_time(laptop: str, name: str, settings: Any) -> None:
    settings.SYNC_ATTEMPTS_MAX = 2
    rows = captured(laptop, name, [1] * 10)
    with pytest.raises(errors.ServerUnreachable, match="2 attempts"):
        push(laptop, transport=Road(None, cut_after, cut_after))
    assert 0 < delivered(laptop) < 10
    push(laptop, transport=Road())
    assert arrived() == [row.tx_pk for row in rows]
    assert delivered(laptop) == 10


def test_retry_after_is_heeded_within_its_limit(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    slept: list[float] = []
    monkeypatch.setattr(client_http, "backoff", lambda attempt: 0.5)
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    road = Road(
        answers(429, Retry_After="7"), answers(503, Retry_After="9999"), answers(503, Retry_After=later), cut_before
    )
    with client_http.Server(URL, transport=road, sleep=slept.append) as server:
        assert server.get("server").status == 200
    assert slept[0] == 7
    assert slept[1] == 300
    assert 20 < slept[2] <= 30
    assert slept[3] == 0.5


def test_backoff_grows_to_its_limit_with_full_jitter(settings: Any) -> None:
    settings.SYNC_BACKOFF_SECONDS, settings.SYNC_BACKOFF_SECONDS_MAX = 1.0, 8.0
    for attempt, most in ((1, 1), (2, 2), (4, 8), (10, 8)):
        waits = [client_http.backoff(attempt) for _ in range(200)]
        assert 0 <= min(waits) < most / 4
        assert most * 0.75 < max(waits) <= most


PORTAL = b"<html>Welcome to the guest house. Please log in.</html>"


@pytest.mark.parametrize(
    "portal",
    [
        answers(200, PORTAL, Content_Type="text/html"),
        answers(302, b"", Location="http://login.example/"),
        answers(200, PORTAL, Content_Type="application/json"),
        answers(200, b"{}", Content_Type="application/json"),
        answers(403, PORTAL, Content_Type="text/html"),
        answers(200, b"x" * 5_000_000, Content_Type="text/html"),
    ],
)
def test_a_network_s_login_page_is_no_receipt(laptop: str, name: str, portal: Any) -> None:
    captured(laptop, name, [1])
    with pytest.raises(errors.NotTheServer, match="login page"):
        push(laptop, transport=Road(portal))
    assert delivered(laptop) == 0


def test_a_receipt_that_another_signed_marks_nothing(laptop: str, name: str) -> None:
    captured(laptop, name, [1])
    LocalDevice.objects.using(laptop).filter(name=name).update(server_key="ab" * 32)
    with pytest.raises(errors.ReceiptInvalid):
        push(laptop, transport=Road())
    assert delivered(laptop) == 0


def test_a_server_restored_from_a_backup_gets_everything_again(laptop: str, name: str) -> None:
    rows = captured(laptop, name, [1] * 12)
    push(laptop, transport=Road())
    lose_batches_after(1)
    push(laptop, transport=Road())
    assert arrived() == [row.tx_pk for row in rows]
    lose_batches_after(1)
    more = captured(laptop, name, [1], first_unit=100)
    push(laptop, transport=Road())
    assert arrived() == [row.tx_pk for row in (*rows, *more)]
    assert verify_chain(SERVER).problems == []


class OneAtATime(Road):
    """Counts the requests that begin while another is under way."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way = 0
        self.beside = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.beside += self.under_way
        self.under_way += 1
        try:
            time.sleep(0.05)  # so long that the other thread would have got here
            return super().handle_request(request)
        finally:
            self.under_way -= 1


def test_what_a_restored_server_lacks_goes_before_the_next_batch_leaves(laptop: str, name: str) -> None:
    rows = captured(laptop, name, [1] * 12)
    push(laptop, transport=Road())
    lose_batches_after(1)
    more = captured(laptop, name, [1] * 12, first_unit=100)
    road = OneAtATime()
    push(laptop, transport=road)
    assert arrived() == [row.tx_pk for row in (*rows, *more)]
    assert road.beside == 0
    assert not IncomingBatch.objects.using(SERVER).filter(state=IncomingBatch.State.FORK).exists()


def test_a_server_that_lost_whole_epochs_gets_them_again(laptop: str, name: str) -> None:
    rows = captured(laptop, name, [1])
    push(laptop, transport=Road())
    for unit in (2, 3):
        enrol(laptop, URL, add_device(SERVER, name).code, transport=Road())
        LocalDevice.objects.using(laptop).filter(name=name).update(baselines={})
        rows += captured(laptop, name, [1], first_unit=unit)
        push(laptop, transport=Road())
    for epoch in IncomingEpoch.objects.using(SERVER).filter(ordinal__gt=1):
        IncomingTransaction.objects.using(SERVER).filter(batch__epoch=epoch).delete()
        epoch.batches.all().delete()
        epoch.delete()
    rows += captured(laptop, name, [1], first_unit=4)
    push(laptop, transport=Road())
    assert arrived() == [row.tx_pk for row in rows]
    assert IncomingEpoch.objects.using(SERVER).count() == 3


def lose_batches_after(number: int) -> None:
    """What a server's restore from an older backup does."""
    lost = IncomingBatch.objects.using(SERVER).filter(number__gt=number)
    IncomingTransaction.objects.using(SERVER).filter(batch__in=lost).delete()
    lost.delete()
    batch = IncomingBatch.objects.using(SERVER).get(number=number)
    last = IncomingTransaction.objects.using(SERVER).order_by("-id").first()
    assert last is not None
    IncomingEpoch.objects.using(SERVER).update(
        head_number=number, head_hash=batch.hash, sequence=last.sequence, effective_at=last.effective_at
    )


def test_a_clone_is_refused_and_after_enrolling_again_goes_on_in_a_new_epoch(laptop: str, name: str) -> None:
    captured(laptop, name, [1])
    push(laptop, transport=Road())
    clone_of(laptop, name)
    mine = captured(laptop, name, [1], first_unit=50)
    with pytest.raises(errors.ServerRefused, match="cloned") as refused:
        push(laptop, transport=Road())
    assert refused.value.code == "batch_fork"
    assert Alarm.objects.using(SERVER).get().code == "batch_fork"
    report = enrol(laptop, URL, add_device(SERVER, name).code, transport=Road())
    assert report.began_epoch
    with pytest.raises(errors.BaselineMissing):
        push(laptop, transport=Road())
    LocalDevice.objects.using(laptop).filter(name=name).update(baselines={})
    later = captured(laptop, name, [1], first_unit=60)
    pushed = push(laptop, transport=Road())
    assert len(pushed.closed_epochs) == 1
    assert mine[0].tx_pk not in arrived()
    assert arrived()[-1] == later[0].tx_pk
    assert OutgoingBatch.objects.using(laptop).filter(receipts={"refused": "batch_fork"}).count() == 1
    assert push(laptop, transport=Road()).requests == 1
    assert IncomingEpoch.objects.using(SERVER).count() == 2


def clone_of(laptop: str, name: str) -> None:
    """A second copy of the laptop's disk pushes one batch of its own before this one does."""
    before = LocalDevice.objects.using(laptop).filter(name=name).values().get()
    captured(laptop, name, [2], first_unit=40)
    push(laptop, transport=Road())
    OutgoingBatch.objects.using(laptop).filter(number__gt=before["head_number"]).delete()
    OutgoingTransaction.objects.using(laptop).filter(unit=40).delete()
    LocalDevice.objects.using(laptop).filter(name=name).update(**before)


def test_sealed_batches_of_an_earlier_epoch_are_sent_first(laptop: str, name: str) -> None:
    first = captured(laptop, name, [1])
    seal(laptop, name)
    enrol(laptop, URL, add_device(SERVER, name).code, transport=Road())
    LocalDevice.objects.using(laptop).filter(name=name).update(baselines={})
    second = captured(laptop, name, [1], first_unit=2)
    push(laptop, transport=Road())
    assert arrived() == [first[0].tx_pk, second[0].tx_pk]


def test_a_revoked_device_is_told_so(laptop: str, name: str) -> None:
    captured(laptop, name, [1])
    revoke_device(SERVER, name, reason="lost")
    with pytest.raises(errors.ServerRefused, match="revoked"):
        push(laptop, transport=Road())
    assert delivered(laptop) == 0


def test_a_due_baseline_stops_the_push_before_anything_is_sent(laptop: str, name: str) -> None:
    LocalDevice.objects.using(laptop).update(baselines={"matrix.place": {"done": False, "after": None}})
    road = Road()
    with pytest.raises(errors.BaselineMissing):
        push(laptop, transport=road)
    assert road.requests == []


def test_a_device_that_never_enrolled_is_told_how(laptop: str) -> None:
    LocalDevice.objects.using(laptop).get_or_create(
        name=NAMES[laptop], defaults={"role": "client", "epoch": "ab" * 16, "began": {"kind": "fresh"}}
    )
    with pytest.raises(errors.NotEnrolled, match="enrol --server"):
        push(laptop, transport=Road())


def test_enrolling_again_after_a_lost_answer_works_with_the_same_code(laptop: str) -> None:
    code = add_device(SERVER, NAMES[laptop]).code
    enrol(laptop, URL, code, transport=Road(cut_after))
    status = device_status(laptop)
    assert status is not None
    assert (status["server"], status["url"]) == ("server-1", URL)


def test_secrets_are_readable_by_their_owner_only(laptop: str, name: str, settings: Any) -> None:
    files = [path for path in (Path(settings.SYNC_KEY_DIR) / name).iterdir() if path.is_file()]
    assert {path.name for path in files} >= {"private_key.pem", "token", "salt_key"}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_only_a_signed_receipt_says_that_batches_are_applied(laptop: str, name: str) -> None:
    """Otherwise one forged answer makes whatever is typed in afterwards safe to hand over."""
    captured(laptop, name, [1])
    push(laptop, transport=Road())
    device = LocalDevice.objects.using(laptop).get(name=name)
    receipt = OutgoingBatch.objects.using(laptop).get().receipts["held"]
    applied = {**receipt, "kind": "applied", "number": 10**9}
    told = {"epoch": device.epoch, "ordinal": 1, "head_number": 1, "consumed_number": 10**9, "receipts": [applied]}
    forged = json.dumps({"device": name, "epochs": [told], "parked": "x"}).encode()
    report = push(laptop, transport=Road(answers(200, forged, Content_Type="application/json")))
    captured(laptop, name, [1])
    seal(laptop, name)
    device.refresh_from_db(using=laptop)
    assert (report.applied_number, report.parked, device.applied_number) == (0, None, 0)
    standing = standing_of(laptop, device)
    assert (standing.waiting, standing.applied) == (1, 0)


@pytest.mark.parametrize(
    "epochs",
    [None, 5, ["x"], [{"epoch": ["x"]}], [{"epoch": "x", "head_number": "x"}], [{"epoch": "x", "receipts": 5}]],
)
def test_an_answer_of_another_form_is_not_the_server_s(laptop: str, name: str, epochs: Any) -> None:
    body = json.dumps({"epochs": epochs}).encode()
    with pytest.raises(errors.NotTheServer):
        push(laptop, transport=Road(answers(200, body, Content_Type="application/json")))


@pytest.mark.parametrize("url", ["http://sync.example.org", "http://10.0.0.1:8000"])
def test_plain_http_to_another_machine_is_refused_unless_allowed(url: str) -> None:
    with pytest.raises(errors.PlainHttpRefused, match="--allow-http"):
        client_http.Server(url)
    client_http.Server(url, allow_http=True)


@pytest.mark.parametrize("url", ["", "sync.example.org", "ftp://x", "https://", "https://x/?a=1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(errors.AddressInvalid):
        client_http.Server(url)


def test_the_server_s_problem_is_passed_on_word_for_word() -> None:
    problem = json.dumps({"code": "batch_fork", "detail": "In plain words."}).encode()
    road = Road(answers(409, problem, Content_Type="application/problem+json"))
    with client_http.Server(URL, transport=road) as server, pytest.raises(errors.ServerRefused, match="plain words"):
        server.get("devices/me")
