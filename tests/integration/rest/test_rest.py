"""REST: batches in, receipts out; every error a problem+json with a stable code, nothing stored, nothing leaked."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from django.db import OperationalError, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.models import Device
from sync_api.enrolment.registration import add_device, revoke_device
from sync_api.enrolment.requests import make_request
from sync_api.models import IncomingBatch, IncomingEpoch, IncomingTransaction
from sync_api.rest import views
from sync_api.wire.keys import device_keys
from tests.integration.field import Chain, Enrolled, enrolled

pytestmark = [
    pytest.mark.django_db(databases=["server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
NAME = "test-laptop"
BATCH = "application/vnd.syncserver.batch"


@pytest.fixture(autouse=True)
def served(server: str, settings: Any) -> str:
    settings.SYNC_SERVER_DATABASE = server
    return server


@pytest.fixture
def device(server: str) -> Enrolled:
    return enrolled(server, NAME)


@pytest.fixture
def chain(device: Enrolled) -> Chain:
    return Chain.fresh(device)


@pytest.fixture
def web() -> Client:
    return Client(raise_request_exception=False)


def send(web: Client, content: bytes, device: Enrolled, content_type: str = BATCH) -> Any:
    return web.post("/api/v1/batches", content, content_type=content_type, headers=device.headers)


def assert_problem(response: Any, status: int, code: str) -> dict[str, Any]:
    body = json.loads(response.content)
    assert (response.status_code, body["code"]) == (status, code), body
    assert response["Content-Type"] == "application/problem+json"
    assert body["status"] == status
    assert all(body[name] for name in ("type", "title", "detail", "next_step"))
    assert "Traceback" not in str(body)
    assert "SELECT" not in str(body)
    return body


def assert_nothing_stored(server: str) -> None:
    for model in (IncomingBatch, IncomingTransaction, IncomingEpoch):
        assert not model.objects.using(server).exists()


def test_a_batch_is_taken_and_taken_again_and_early_ones_wait(web: Client, chain: Chain, device: Enrolled) -> None:
    first, second, third = chain.batch(), chain.batch(), chain.batch()
    held = send(web, first, device)
    assert (held.status_code, held.json()["state"], held.json()["expected"]) == (201, "held", 2)
    again = send(web, first, device)
    assert (again.status_code, again.json()["receipt"]) == (200, held.json()["receipt"])
    early = send(web, third, device)
    assert (early.status_code, early.json()["expected"], early.json()["receipt"]) == (202, 2, None)
    assert send(web, second, device).json()["expected"] == 4


def test_the_device_sees_its_heads_and_receipts(web: Client, chain: Chain, device: Enrolled, server: str) -> None:
    receipt = send(web, chain.batch(), device).json()["receipt"]
    body = web.get("/api/v1/devices/me", headers=device.headers).json()
    (epoch,) = body["epochs"]
    assert (body["device"], body["parked"], epoch["head_number"], epoch["consumed_number"]) == (NAME, 0, 1, 0)
    assert epoch["receipts"] == [receipt]
    assert Device.objects.using(server).get(name=NAME).last_seen_at is not None


def test_enrolment_over_http_gives_a_token_that_works(web: Client, server: str) -> None:
    code = add_device(server, NAME).code
    request = make_request(code=code, device=NAME, keys=device_keys(NAME))
    answer = web.post("/api/v1/enrolments", orjson.dumps(request), content_type="application/json")
    assert answer.status_code == 201
    assert answer["Cache-Control"] == "no-store"
    headers = {"Authorization": f"bearer {answer.json()['token']}"}
    assert web.get("/api/v1/devices/me", headers=headers).json()["device"] == NAME


def test_anyone_may_ask_who_the_server_is(web: Client) -> None:
    body = web.get("/api/v1/server").json()
    assert set(body) == {"name", "public_key", "role", "certificate", "time", "nonce"}


def test_truncated_at_every_97th_byte_is_refused_and_nothing_is_stored(
    web: Client, chain: Chain, device: Enrolled, server: str
) -> None:
    content = chain.batch(40)
    for end in range(0, len(content), 97):
        assert_problem(send(web, content[:end], device), 400, "malformed_envelope")
    assert_nothing_stored(server)


def test_flipped_bytes_are_refused_and_nothing_is_stored(
    web: Client, chain: Chain, device: Enrolled, server: str
) -> None:
    content = chain.batch(40)
    for place in range(0, len(content), 61):
        flipped = bytearray(content)
        flipped[place] ^= 0xFF
        response = send(web, bytes(flipped), device)
        assert response.status_code in (400, 403, 413), place
        assert_problem(response, response.status_code, response.json()["code"])
    assert_nothing_stored(server)


def test_wrong_signature_wrong_device_and_unknown_key(web: Client, chain: Chain, device: Enrolled, server: str) -> None:
    other = enrolled(server, "test-other")
    thief = device_keys("test-thief")
    stranger = Enrolled(NAME, thief, {"public_key": thief.public_hex}, device.token)
    assert_problem(send(web, chain.fork(), other), 403, "wrong_device")
    assert_problem(send(web, Chain.fresh(stranger).batch(), device), 403, "key_unknown")
    assert_problem(send(web, chain.batch(keys=thief), device), 403, "bad_signature")
    assert_nothing_stored(server)


def test_a_revoked_device_is_refused(web: Client, chain: Chain, device: Enrolled, server: str) -> None:
    revoke_device(server, NAME, reason="stolen")
    assert_problem(send(web, chain.batch(), device), 403, "device_revoked")
    assert_problem(web.get("/api/v1/devices/me", headers=device.headers), 403, "device_revoked")
    assert_nothing_stored(server)


def test_a_fork_and_too_much_ahead_of_a_gap(web: Client, chain: Chain, device: Enrolled, settings: Any) -> None:
    fork = chain.fork()
    send(web, chain.batch(), device)
    assert_problem(send(web, fork, device), 409, "batch_fork")
    chain.batch()
    settings.SYNC_EARLY_BATCHES_MAX = 0
    assert assert_problem(send(web, chain.batch(), device), 409, "early_limit")["expected"] == 2


@pytest.mark.parametrize("limit", ["SYNC_ENVELOPE_BYTES_MAX", "SYNC_CONTENT_BYTES_MAX", "SYNC_LINE_BYTES_MAX"])
def test_over_a_limit_is_refused_by_its_name(
    web: Client, chain: Chain, device: Enrolled, settings: Any, server: str, limit: str
) -> None:
    setattr(settings, limit, 30)
    body = assert_problem(send(web, chain.batch(), device), 413, "envelope_too_large")
    assert limit in body["detail"]
    assert_nothing_stored(server)


def test_wrong_types_in_header_and_lines(web: Client, chain: Chain, device: Enrolled, server: str) -> None:
    assert_problem(send(web, chain.fork(number="1"), device), 400, "malformed_envelope")
    assert_problem(send(web, chain.fork(unheard_of=1), device), 400, "malformed_envelope")
    line = b'[0,0,"I",0,0,1,null,null,["k","t"]]'
    assert_problem(send(web, chain.fork(1, raw_lines=[line]), device), 400, "malformed_envelope")
    assert_nothing_stored(server)


def test_without_a_good_token_nothing_is_taken(web: Client, chain: Chain, server: str) -> None:
    content = chain.batch()
    for header, code in (
        ({}, "not_authenticated"),
        ({"Authorization": "Basic eA=="}, "not_authenticated"),
        ({"Authorization": "Bearer wrong"}, "token_unknown"),
        ({"Authorization": "Bearer " + "x" * 5_000}, "token_unknown"),
    ):
        response = web.post("/api/v1/batches", content, content_type=BATCH, headers=header)
        assert_problem(response, 401, code)
        assert response["WWW-Authenticate"].startswith("Bearer")
    assert_nothing_stored(server)


def test_everything_else_that_can_be_wrong_with_a_request(web: Client, device: Enrolled, settings: Any) -> None:
    json_type = "application/json"
    assert_problem(web.get("/api/v1/nothing"), 404, "not_found")
    assert_problem(web.get("/api/v1/batches", headers=device.headers), 405, "method_not_allowed")
    assert_problem(send(web, b"{}", device, content_type=json_type), 415, "unsupported_media_type")
    assert_problem(send(web, b"", device), 400, "malformed_envelope")
    enrolments = "/api/v1/enrolments"
    assert_problem(web.post(enrolments, b"{", content_type=json_type), 400, "malformed_json")
    assert_problem(web.post(enrolments, b"[" * 5_000, content_type=json_type), 400, "malformed_json")
    assert_problem(web.post(enrolments, b"[]", content_type=json_type), 400, "malformed_json")
    body = assert_problem(web.post(enrolments, b"{}", content_type=json_type), 400, "invalid_request")
    assert body["errors"]["code"] == ["required"]
    assert_problem(web.post(enrolments, b" " * 20_000, content_type=json_type), 413, "body_too_large")


def test_a_mistyped_or_unknown_code_is_refused(web: Client, server: str) -> None:
    code = add_device(server, NAME).code
    request = make_request(code=code, device=NAME, keys=device_keys(NAME))
    mistyped = {**request, "code": "babab-babab-babab-babab-babab"}
    answer = web.post("/api/v1/enrolments", orjson.dumps(mistyped), content_type="application/json")
    assert_problem(answer, 400, "code_mistyped")
    add_device(server, NAME)
    answer = web.post("/api/v1/enrolments", orjson.dumps(request), content_type="application/json")
    assert_problem(answer, 403, "code_refused")


def test_enrolment_attempts_are_throttled(web: Client, settings: Any) -> None:
    settings.SYNC_ENROL_ATTEMPTS_PER_MINUTE_MAX = 2
    for _ in range(2):
        assert web.post("/api/v1/enrolments", b"{}", content_type="application/json").status_code == 400
    response = web.post("/api/v1/enrolments", b"{}", content_type="application/json")
    assert_problem(response, 429, "throttled")
    assert 0 < int(response["Retry-After"]) <= 60


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(RuntimeError("a secret"), 500, "internal_error"), (OperationalError("a secret"), 503, "server_busy")],
)
def test_a_failure_of_the_server_tells_nothing_of_the_inside(
    web: Client, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    def fail(alias: str) -> None:
        raise error

    monkeypatch.setattr(views, "server_identity", fail)
    response = web.get("/api/v1/server")
    assert "secret" not in str(assert_problem(response, status, code))
    assert (code == "server_busy") == response.has_header("Retry-After")


def test_the_description_and_its_page_need_no_network(web: Client) -> None:
    schema = web.get("/api/v1/schema/?format=json").json()
    assert set(schema["paths"]) >= {
        *("/api/v1/batches", "/api/v1/devices/me", "/api/v1/enrolments", "/api/v1/server"),
        *("/api/v1/visits", "/api/v1/statements"),
    }
    page = web.get("/api/v1/schema/page/").content.decode()
    assert "/api/v1/batches" in page
    assert "<script" not in page
    assert "http://" not in page.replace("http://testserver", "")
    assert "https://" not in page


def test_nothing_here_depends_on_the_project_s_rest_settings(web: Client, settings: Any, device: Enrolled) -> None:
    settings.REST_FRAMEWORK = {"DEFAULT_RENDERER_CLASSES": [], "DEFAULT_AUTHENTICATION_CLASSES": []}
    assert web.get("/api/v1/devices/me", headers=device.headers).status_code == 200
    assert web.get("/api/v1/schema/?format=json").status_code == 200
    assert_problem(web.get("/api/v1/devices/me", headers={"Accept": "text/html"}), 401, "not_authenticated")


def test_the_number_of_statements_per_request_is_fixed(
    web: Client, device: Enrolled, chain: Chain, server: str
) -> None:
    counts = set()
    send(web, chain.batch(1), device)
    for lines in (10, 500):
        with CaptureQueriesContext(connections[server]) as queries:
            send(web, chain.batch(lines), device)
        counts.add(len(queries))
    assert len(counts) == 1
