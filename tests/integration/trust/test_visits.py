"""Visits and statements over REST: a pass for the certified, and nobody speaks for another."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.test import Client
from django.utils import timezone

from audit.models import Device
from sync_api.conf import alias_settings
from sync_api.enrolment.registration import revoke_device
from sync_api.models import LocalDevice, Statement, UsedNonce, Visit
from sync_api.trust import make_statement, visit_request
from sync_api.trust.pins import pin_server
from sync_api.trust.visits import VISIT
from sync_api.wire.certificates import CERTIFICATE, is_signed_by, signed
from sync_api.wire.keys import device_keys
from tests.integration.field import Chain, Enrolled, enrolled, local
from tests.integration.trust.said import certified, said

pytestmark = [
    pytest.mark.django_db(databases=["server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
JSON = "application/json"
NAME = "test-laptop"
SITE = "test-site"
ADDRESS = "testserver"


@pytest.fixture(autouse=True)
def served(server: str, settings: Any) -> str:
    settings.SYNC_SERVER_DATABASE = server
    pin_server(server, SITE, device_keys(SITE).public_hex)
    return server


@pytest.fixture
def web() -> Client:
    return Client(raise_request_exception=False)


def request_of(
    web: Client, name: str, *, role: str = "client", issuer: str = SITE, address: str = ADDRESS
) -> dict[str, Any]:
    """What the device `name`, enrolled with `issuer`, sends for a visit."""
    server = web.get("/api/v1/server").json()
    keys, certificate = device_keys(name), certified(name, issuer=issuer, role=role)
    return signed_request(certificate, server, keys, address=address)


def signed_request(certificate: dict[str, Any], server: dict[str, Any], keys: Any, *, address: str) -> dict[str, Any]:
    """A visitor's request, written out here once more."""
    facts = {
        "device": certificate["device"],
        "public_key": keys.public_hex,
        "server": server["name"],
        "server_key": server["public_key"],
        "address": address,
        "nonce": server["nonce"],
    }
    signature = signed(VISIT, facts, keys)["signature"]
    return {"certificate": certificate, "address": address, "nonce": server["nonce"], "signature": signature}


def visit(web: Client, request: dict[str, Any]) -> Any:
    return web.post("/api/v1/visits", orjson.dumps(request), content_type=JSON)


def headers(web: Client, name: str, role: str = "client") -> dict[str, str]:
    return {"Authorization": f"Bearer {visit(web, request_of(web, name, role=role)).json()['token']}"}


def bring(web: Client, as_whom: dict[str, str], *statements: Any) -> Any:
    body = orjson.dumps({"statements": statements})
    return web.post("/api/v1/statements", body, content_type=JSON, headers=as_whom)


def promoted(certificate: dict[str, Any]) -> dict[str, Any]:
    return {**certificate, "role": "server"}


def code(response: Any) -> tuple[int, str]:
    return response.status_code, json.loads(response.content)["code"]


def test_a_certified_device_gets_a_pass_and_may_push(web: Client, server: str) -> None:
    answer = visit(web, request_of(web, NAME))
    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
    body = answer.json()
    assert is_signed_by(CERTIFICATE, body["certificate"], device_keys(alias_settings(server).device).public_hex)
    pass_of = {"Authorization": f"Bearer {body['token']}"}
    device = Enrolled(NAME, device_keys(NAME), Visit.objects.using(server).get().certificate, "")
    content = Chain.fresh(device).batch()
    sent = web.post("/api/v1/batches", content, content_type="application/vnd.syncserver.batch", headers=pass_of)
    assert (sent.status_code, sent.json()["statements"]) == (201, [])
    own = web.get("/api/v1/devices/me", headers=pass_of).json()
    assert (own["device"], [epoch["head_number"] for epoch in own["epochs"]]) == (NAME, [1])
    assert body["token"] not in str(list(Visit.objects.using(server).values()))


def test_a_relay_s_certificate_lets_it_carry(web: Client, server: str) -> None:
    relay = headers(web, "test-relay", "relay")
    assert Device.objects.using(server).get(name="test-relay").role == "relay"
    device = Enrolled(NAME, device_keys(NAME), certified(NAME, issuer=SITE), "")
    batch = {"content_type": "application/vnd.syncserver.batch"}
    assert web.post("/api/v1/batches", Chain.fresh(device).batch(), headers=relay, **batch).status_code == 201
    other = Chain.fresh(Enrolled("test-other", device_keys("test-other"), certified("test-other", issuer=SITE), ""))
    laptop = headers(web, NAME)
    assert code(web.post("/api/v1/batches", other.batch(), headers=laptop, **batch)) == (403, "wrong_device")


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda request: {**request, "signature": "00" * 64}, "visit_refused"),
        (lambda request: {**request, "nonce": "made:up:nonce"}, "visit_refused"),
        (
            lambda request: {**request, "certificate": {**request["certificate"], "role": "server"}},
            "certificate_invalid",
        ),
        (lambda request: {**request, "certificate": certified(NAME, issuer="test-foreign")}, "issuer_unknown"),
        (lambda request: {**request, "certificate": certified("test-relay", issuer=SITE)}, "visit_refused"),
    ],
)
def test_a_visit_without_proof_is_refused(
    web: Client, server: str, spoil: Callable[[dict[str, Any]], dict[str, Any]], expected: str
) -> None:
    assert code(visit(web, spoil(request_of(web, NAME)))) == (403, expected)
    assert not Visit.objects.using(server).exists()
    assert not Device.objects.using(server).exists()


def test_an_old_nonce_is_refused(web: Client, settings: Any) -> None:
    request = request_of(web, NAME)
    settings.SYNC_NONCE_SECONDS = -1
    assert code(visit(web, request)) == (403, "visit_refused")


def test_a_signature_for_another_installation_is_refused(web: Client) -> None:
    request = request_of(web, NAME)
    here = web.get("/api/v1/server").json()
    for another in ({"name": SITE}, {"public_key": device_keys(SITE).public_hex}):
        named = {**here, **another, "nonce": request["nonce"]}
        wrong = signed_request(request["certificate"], named, device_keys(NAME), address=ADDRESS)
        assert code(visit(web, wrong)) == (403, "visit_refused")
    assert visit(web, request).status_code == 201


def test_a_man_in_the_middle_gets_no_pass(web: Client, server: str) -> None:
    """He hands the visitor the server's own answer, and the visitor's request on to the server."""
    request = request_of(web, NAME, address="middle.test")
    refused = visit(web, request)
    assert code(refused) == (403, "visit_refused")
    assert "middle.test" in refused.json()["detail"]
    assert code(visit(web, {**request, "address": ADDRESS})) == (403, "visit_refused")
    assert not Visit.objects.using(server).exists()


def test_the_addresses_may_be_named_where_a_proxy_hides_them(web: Client, settings: Any) -> None:
    settings.SYNC_ADDRESSES = ["sync.test", "sync.test:8443"]
    assert visit(web, request_of(web, NAME, address="sync.test:8443")).status_code == 201
    assert code(visit(web, request_of(web, NAME))) == (403, "visit_refused")


def test_a_nonce_is_good_once(web: Client, server: str) -> None:
    request = request_of(web, NAME)
    assert visit(web, request).status_code == 201
    assert code(visit(web, request)) == (403, "visit_refused")
    assert Visit.objects.using(server).count() == 1


def test_used_nonces_are_few_and_go(web: Client, server: str, settings: Any) -> None:
    settings.SYNC_NONCES_PER_DEVICE_MAX = 2
    for _ in range(2):
        assert visit(web, request_of(web, NAME)).status_code == 201
    assert code(visit(web, request_of(web, NAME))) == (429, "too_many_visits")
    assert visit(web, request_of(web, "test-other")).status_code == 201
    UsedNonce.objects.using(server).update(ends_at=timezone.now() - timedelta(seconds=1))
    assert visit(web, request_of(web, NAME)).status_code == 201
    assert UsedNonce.objects.using(server).count() == 1


def test_visits_are_throttled_and_their_form_is_checked(web: Client, settings: Any) -> None:
    settings.SYNC_VISITS_PER_MINUTE_MAX = 2
    for body in ({}, {"certificate": {}, "nonce": 1, "signature": "x"}):
        assert code(visit(web, body)) == (400, "invalid_request")
    assert code(visit(web, {})) == (429, "throttled")


def test_a_pass_ends(web: Client, server: str) -> None:
    pass_of = headers(web, NAME)
    Visit.objects.using(server).update(ends_at=timezone.now() - timedelta(seconds=1))
    assert code(web.get("/api/v1/statements", headers=pass_of)) == (401, "token_unknown")
    headers(web, NAME)
    assert Visit.objects.using(server).count() == 1


def test_a_pass_ends_with_the_revocation_of_its_key(web: Client, server: str) -> None:
    pass_of = headers(web, NAME)
    revoke_device(server, NAME, reason="lost")
    assert code(web.get("/api/v1/statements", headers=pass_of)) == (403, "certificate_revoked")
    assert code(visit(web, request_of(web, NAME))) == (403, "certificate_revoked")


def test_one_device_holds_few_passes(web: Client, server: str, settings: Any) -> None:
    settings.SYNC_VISITS_PER_DEVICE_MAX = 2
    for _ in range(4):
        headers(web, NAME)
    assert Visit.objects.using(server).count() == 2


def test_the_visitor_s_side_signs_what_is_asked(web: Client, server: str, settings: Any) -> None:
    identity = web.get("/api/v1/server").json()
    local(server, NAME, certificate=certified(NAME, issuer=SITE))
    settings.SYNC_DATABASES = {server: {"role": "client", "device": NAME}}
    request = visit_request(
        server, server=identity["name"], key=identity["public_key"], address=ADDRESS, nonce=identity["nonce"]
    )
    settings.SYNC_DATABASES = {server: {"role": "server", "device": identity["name"]}}
    assert visit(web, request).status_code == 201


def test_on_a_relay_a_visitor_is_known_by_its_certificate_only(web: Client, server: str, settings: Any) -> None:
    settings.SYNC_DATABASES = {server: {"role": "relay", "device": "test-relay"}}
    local(server, "test-relay", role="relay", certificate=certified("test-relay", issuer=SITE, role="relay"))
    identity = web.get("/api/v1/server").json()
    assert (identity["role"], identity["certificate"]["issuer"]) == ("relay", SITE)
    pass_of = headers(web, NAME)
    assert not Device.objects.using(server).filter(name=NAME).exists()
    assert code(web.get("/api/v1/devices/me", headers=pass_of)) == (403, "device_unknown")
    assert web.get("/api/v1/statements", headers=pass_of).json() == {"statements": [], "next": None}


def test_an_installation_that_never_enrolled_says_so(web: Client, server: str, settings: Any) -> None:
    settings.SYNC_DATABASES = {server: {"role": "relay", "device": "test-relay"}}
    assert web.get("/api/v1/server").json()["certificate"] is None
    LocalDevice.objects.using(server).filter(name="test-relay").delete()


# --- statements ----------------------------------------------------------------------------------------------------


def heartbeat(name: str, **facts: Any) -> dict[str, Any]:
    return said("heartbeat", name, by=name, certificate=certified(name, issuer=SITE), pending=1, **facts)


def test_a_client_sees_and_brings_only_what_is_about_itself(web: Client, server: str) -> None:
    laptop = headers(web, NAME)
    answer = bring(web, laptop, heartbeat(NAME), heartbeat("test-other"))
    assert answer.json() == {"taken": 1, "known": 0, "refused": {"not_yours": 1}}
    relay = headers(web, "test-relay", "relay")
    assert bring(web, relay, heartbeat("test-other")).json()["taken"] == 1
    for query in ("", "?device=test-other", "?after=a"):
        told = web.get(f"/api/v1/statements{query}", headers=laptop).json()
        assert [one["device"] for one in told["statements"]] == [NAME]
    told = web.get("/api/v1/statements", headers=relay).json()["statements"]
    assert [one["device"] for one in told] == [NAME, "test-other"]
    told = web.get("/api/v1/statements?device=test-other", headers=relay).json()["statements"]
    assert [one["device"] for one in told] == ["test-other"]
    for query in ("?device=%00", "?device=", "?unheard=1"):
        assert code(web.get(f"/api/v1/statements{query}", headers=relay)) == (400, "invalid_request")


def test_statements_come_in_pages(web: Client, settings: Any) -> None:
    settings.SYNC_STATEMENTS_PER_REQUEST_MAX = 2
    relay = headers(web, "test-relay", "relay")
    names = [f"test-{letter}" for letter in "abcde"]
    for name in names:
        assert bring(web, relay, heartbeat(name)).json()["taken"] == 1
    seen, after = [], ""
    while after is not None:
        page = web.get(f"/api/v1/statements?after={after}", headers=relay).json()
        assert len(page["statements"]) <= 2
        seen += [one["device"] for one in page["statements"]]
        after = page["next"]
    assert seen == names


def test_too_many_and_no_statements_are_refused(web: Client, server: str, settings: Any) -> None:
    settings.SYNC_STATEMENTS_PER_REQUEST_MAX = 1
    relay = headers(web, "test-relay", "relay")
    assert code(bring(web, relay, heartbeat(NAME), heartbeat("test-b"))) == (400, "too_many_statements")
    answer = web.post("/api/v1/statements", b'{"statements": {}}', content_type=JSON, headers=relay)
    assert code(answer) == (400, "too_many_statements")
    assert not Statement.objects.using(server).exists()
    assert bring(web, relay, 5).json()["refused"] == {"malformed_statement": 1}
    settings.SYNC_STATEMENTS_BYTES_MAX = 10
    assert code(bring(web, relay, heartbeat(NAME))) == (413, "body_too_large")


def test_without_a_pass_no_statement_passes(web: Client) -> None:
    assert code(web.get("/api/v1/statements")) == (401, "not_authenticated")
    assert code(bring(web, {"Authorization": "Bearer nonsense"}, heartbeat(NAME))) == (401, "token_unknown")


def test_a_batch_s_answer_tells_its_device_what_is_known_of_it(web: Client, server: str) -> None:
    device = enrolled(server, NAME)
    chain = Chain.fresh(device)
    batch = {"content_type": "application/vnd.syncserver.batch", "headers": device.headers}
    web.post("/api/v1/batches", chain.batch(), **batch)
    durable = make_statement(server, "durable", NAME, epoch=chain.epoch, number=1, hash=chain.hash)
    bring(web, headers(web, "test-relay", "relay"), durable, heartbeat("test-other"))
    told = web.post("/api/v1/batches", chain.batch(), **batch).json()["statements"]
    assert told == [durable]
