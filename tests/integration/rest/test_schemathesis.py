"""schemathesis throws what the OpenAPI description allows, and what it does not, at every operation."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as examples
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from sync_api.models import IncomingBatch, IncomingTransaction
from syncserver.wsgi import application
from tests.integration.field import Enrolled, enrolled

pytestmark = [
    pytest.mark.django_db(databases=["server"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
OPERATIONS = [
    ("POST", "/api/v1/enrolments"),
    ("POST", "/api/v1/batches"),
    ("GET", "/api/v1/devices/me"),
    ("GET", "/api/v1/server"),
    ("POST", "/api/v1/visits"),
    ("GET", "/api/v1/statements"),
    ("POST", "/api/v1/statements"),
]
SEED = 20_261_121
NOT_MEANT = {"positive_data_acceptance", "ignored_auth"}
"""A random code or batch fits the description and is refused all the same: that is their point. Each request here
carries a good token, which schemathesis takes for one of its own; bad tokens are in test_rest."""

ANY_TEXT = {"negative_data_rejection"}
"""Of a list of names in the query: a wrong type there is a name like any other once it is written down."""


@schemathesis.serializer("application/vnd.syncserver.batch")
def batch_bytes(context: Any, value: Any) -> bytes:
    """A body that is no text goes as it is; anything else as its text."""
    raw = getattr(value, "data", value)
    return raw if isinstance(raw, bytes) else str(raw).encode(errors="replace")


@pytest.fixture
def device(settings: Any) -> Enrolled:
    settings.SYNC_SERVER_DATABASE = "server"
    settings.SYNC_ENROL_ATTEMPTS_PER_MINUTE_MAX = 1_000_000
    settings.SYNC_VISITS_PER_MINUTE_MAX = 1_000_000
    settings.ALLOWED_HOSTS = ["*"]
    return enrolled("server", "test-laptop")


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        (*operation, mode)
        for operation in OPERATIONS
        for mode in GenerationMode
        if mode is GenerationMode.POSITIVE or operation != ("GET", "/api/v1/server")  # it takes nothing to spoil
    ],
)
@pytest.mark.parametrize("count", [pytest.param(15, id="15"), pytest.param(200, id="200", marks=pytest.mark.long)])
def test_every_answer_is_one_that_the_description_names(
    device: Enrolled, method: str, path: str, mode: GenerationMode, count: int
) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/v1/schema/?format=json", application)
    operation = schema[path][method]
    load_all_checks()
    left_out = NOT_MEANT | (ANY_TEXT if path == "/api/v1/statements" and method == "GET" else set())
    checks = CHECKS.get_by_names([name for name in CHECKS.get_all_names() if name not in left_out])

    @seed(SEED)
    @examples(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def every(case: Any) -> None:
        response = case.call(headers=device.headers)
        case.validate_response(response, checks=checks)

    every()
    assert not IncomingBatch.objects.using("server").exists()
    assert not IncomingTransaction.objects.using("server").exists()
