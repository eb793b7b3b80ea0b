"""schemathesis at the operations of uploads: every answer is one that the OpenAPI description names."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as examples
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from syncserver.wsgi import application
from tests.integration.uploads.driving import Uploads

pytestmark = pytest.mark.django_db(databases=["server"], transaction=True)  # the application closes connections

ONE = "/api/v1/uploads/{upload}"
OPERATIONS = [
    ("POST", "/api/v1/uploads"),
    ("POST", "/api/v1/uploads/one-step"),
    ("GET", ONE),
    ("POST", f"{ONE}/preservation"),
    ("POST", f"{ONE}/empty-tables"),
    ("POST", f"{ONE}/tables/{{table}}"),
    ("POST", f"{ONE}/tables/{{table}}/record"),
    ("POST", f"{ONE}/tables/{{table}}/wanted"),
    ("POST", f"{ONE}/tables/{{table}}/keys"),
    ("POST", f"{ONE}/commit"),
    ("POST", f"{ONE}/rollback"),
]
NOT_MEANT = {"positive_data_acceptance", "ignored_auth", "negative_data_rejection"}
"""A random device or table fits the description and is refused all the same. What is wrong is tried in test_bad_input:
rows of any form fit a description that leaves their columns to the tables."""


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("count", [pytest.param(4, id="4"), pytest.param(200, id="200", marks=pytest.mark.long)])
def test_every_answer_is_one_that_the_description_names(settings: Any, mode: GenerationMode, count: int) -> None:
    settings.SYNC_SERVER_DATABASE = "server"
    settings.ALLOWED_HOSTS = ["*"]
    tablet = Uploads("server")
    pair = b64encode(f"{tablet.user.username}:a-long-secret".encode()).decode()
    schema = schemathesis.openapi.from_wsgi("/api/v1/schema/?format=json", application)
    load_all_checks()
    checks = CHECKS.get_by_names([name for name in CHECKS.get_all_names() if name not in NOT_MEANT])
    for method, path in OPERATIONS:
        operation = schema[path][method]
        throw(operation, mode, count, {"Authorization": f"Basic {pair}"}, checks, tablet)


def throw(operation: Any, mode: GenerationMode, count: int, headers: Any, checks: Any, tablet: Uploads) -> None:
    upload = tablet.start()

    @seed(20_261_125)
    @examples(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def every(case: Any) -> None:
        if "upload" in case.path_parameters and len(str(case.path_parameters["upload"])) % 2:
            case.path_parameters["upload"] = upload
        response = case.call(headers=headers)
        case.validate_response(response, checks=checks)

    every()
