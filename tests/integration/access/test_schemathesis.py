"""schemathesis at the operations about devices: every answer is one that the OpenAPI description names."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as examples
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from audit.models import Device
from sync_api.models import SingleRecordUser, Upload
from sync_api.uploads.registry import registry
from syncserver.wsgi import application
from tests.camcops.models import Patient
from tests.integration.registering import Rest, group, member

pytestmark = [
    pytest.mark.django_db(databases=["server", "server_pg"], transaction=True),  # the application closes connections
    pytest.mark.usefixtures("transport_emptied"),
]
DEVICE = "/api/v1/devices/{name}"
OPERATIONS = [
    ("POST", "/api/v1/devices"),
    ("GET", DEVICE),
    ("GET", f"{DEVICE}/tables"),
    ("GET", f"{DEVICE}/strings"),
    ("GET", f"{DEVICE}/schedules"),
    ("POST", f"{DEVICE}/validation"),
    ("POST", f"{DEVICE}/access"),
]
SEED = 20_261_125
NOT_MEANT = {"positive_data_acceptance", "ignored_auth"}
"""A random name or key fits the description and is refused all the same; bad passwords are in test_devices."""

ANY_TEXT = {"negative_data_rejection"}
"""Of a name in the address: a wrong type there is a name like any other once it is written down."""


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("count", [pytest.param(6, id="6"), pytest.param(200, id="200", marks=pytest.mark.long)])
def test_every_answer_is_one_that_the_description_names(
    server: str, settings: Any, mode: GenerationMode, count: int
) -> None:
    settings.SYNC_ACCESS_KEY_TRIES_PER_MINUTE_MAX = 1_000_000
    settings.SYNC_PASSWORD_TRIES_PER_MINUTE_MAX = 1_000_000
    settings.ALLOWED_HOSTS = ["*"]
    registry.root(Patient, identity=("surname",))
    own = group(server, "upload_records", "register_devices")
    user = member(server, own)
    try:
        throw_at_all(Rest(user), mode, count)
    finally:
        assert not Upload.objects.using(server).exists()
        assert not SingleRecordUser.objects.using(server).exists()
        Device.objects.using(server).all().delete()
        user.delete(using=server)
        own.delete(using=server)


def throw_at_all(rest: Rest, mode: GenerationMode, count: int) -> None:
    assert rest.post("devices", device="tablet-a")[0] == 201
    schema = schemathesis.openapi.from_wsgi("/api/v1/schema/?format=json", application)
    load_all_checks()
    for method, path in OPERATIONS:
        left_out = NOT_MEANT | (ANY_TEXT if "{name}" in path else set())
        checks = CHECKS.get_by_names([name for name in CHECKS.get_all_names() if name not in left_out])
        throw(schema[path][method], mode, count, rest.headers, checks)


def throw(operation: Any, mode: GenerationMode, count: int, headers: dict[str, str], checks: Any) -> None:
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
        response = case.call(headers=headers)
        case.validate_response(response, checks=checks)

    every()
