"""Defects 15 and 16 of edc-sync's API, by their numbers in its description."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from sync_api.models import IncomingBatch
from tests.integration.field import Chain, enrolled
from tests.integration.rest.test_schemathesis import OPERATIONS

pytestmark = [
    pytest.mark.django_db(databases=["server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
BATCH = "application/vnd.syncserver.batch"
OPEN = {"enrol", "server", "visit"}
"""What needs no token: a one-time code or a certificate is asked for instead, or nothing is told but who is there."""


@pytest.fixture(autouse=True)
def served(server: str, settings: Any) -> None:
    settings.SYNC_SERVER_DATABASE = server


def test_15_nobody_without_a_token_lists_posts_or_deletes(server: str) -> None:
    web = Client(raise_request_exception=False)
    content = Chain.fresh(enrolled(server, "test-laptop")).batch()
    for operation in OPERATIONS:
        path = operation.path.replace("{epoch}", "ab" * 16).replace("{number}", "1")
        answer = web.generic(operation.method, path, content, content_type=BATCH)
        expected = {400, 415, 200} if operation.facts["operationId"] in OPEN else {401}
        assert answer.status_code in expected, operation.path
        assert web.delete(path).status_code in (401, 405)
    assert not IncomingBatch.objects.using(server).exists()


def test_16_a_byte_that_was_changed_or_another_s_key_is_refused(server: str) -> None:
    web = Client(raise_request_exception=False)
    device, other = enrolled(server, "test-laptop"), enrolled(server, "test-other")
    chain = Chain.fresh(device)
    content = chain.batch()
    spoilt = content[:-1] + bytes([content[-1] ^ 1])
    foreign = Chain.fresh(device).batch(keys=other.keys)
    for wrong in (spoilt, foreign):
        answer = web.post("/api/v1/batches", wrong, content_type=BATCH, headers=device.headers)
        assert answer.status_code in (400, 403)
    assert not IncomingBatch.objects.using(server).exists()
    assert web.post("/api/v1/batches", content, content_type=BATCH, headers=device.headers).status_code == 201
