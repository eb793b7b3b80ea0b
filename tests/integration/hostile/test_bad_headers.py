"""A header that an enrolled device has forged is refused as malformed: no failure of the server, nothing stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from sync_api.models import IncomingBatch, IncomingEpoch
from sync_api.schema.describe import fingerprint_of
from tests.integration.field import DESCRIPTION, Chain, Enrolled, enrolled

pytestmark = [
    pytest.mark.django_db(databases=["server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
NAME = "test-laptop"


@pytest.fixture(autouse=True)
def served(server: str, settings: Any) -> str:
    settings.SYNC_SERVER_DATABASE = server
    return server


@pytest.fixture
def device(server: str) -> Enrolled:
    return enrolled(server, NAME)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def twice_the_same_field() -> list[dict[str, Any]]:
    fields = [*DESCRIPTION["fields"], ["id", "uuid", None]]
    description = {**DESCRIPTION, "fields": fields}
    return [{**description, "fingerprint": fingerprint_of(description, "sqlite")}]


def assert_refused(server: str, device: Enrolled, content: bytes) -> None:
    web = Client(raise_request_exception=False)
    kind = "application/vnd.syncserver.batch"
    answer = web.post("/api/v1/batches", content, content_type=kind, headers=device.headers)
    assert (answer.status_code, json.loads(answer.content)["code"]) == (400, "malformed_envelope")
    assert not IncomingBatch.objects.using(server).exists()
    assert not IncomingEpoch.objects.using(server).exists()


@pytest.mark.parametrize(
    "member",
    [{"public_key": "\0"}, {"note": "\0"}, {"note": nested(200)}, {"note": "x" * 500}, {"note": {}}],
    ids=["nul_key", "nul", "nested", "long", "object"],
)
def test_a_certificate_that_no_server_issues_is_malformed(
    server: str, device: Enrolled, member: dict[str, Any]
) -> None:
    content = Chain.fresh(device).batch(certificate={**device.certificate, **member})
    assert_refused(server, device, content)


def test_a_model_that_names_a_field_twice_is_malformed(server: str, device: Enrolled) -> None:
    lines = [json.dumps([0, 0, "I", 0, 0, None, None, None, ["0" * 32, "", "1" * 32]]).encode()]
    content = Chain.fresh(device).batch(1, models=twice_the_same_field(), raw_lines=lines)
    assert_refused(server, device, content)


def test_a_made_up_forwarding_header_buys_no_further_enrolment_attempts(server: str, settings: Any) -> None:
    settings.SYNC_ENROL_ATTEMPTS_PER_MINUTE_MAX = 3
    cache.clear()
    web = Client()
    statuses = [
        web.post("/api/v1/enrolments", {}, content_type="application/json",
                 headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code
        for n in range(4)
    ]  # fmt: skip
    assert statuses == [400, 400, 400, 429]
