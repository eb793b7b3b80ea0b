"""schemathesis throws what the OpenAPI description allows, and what it does not, at every operation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as examples
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from sync_api.models import IncomingBatch, IncomingTransaction
from sync_api.rest import urls
from syncserver.wsgi import application
from tests.integration.access.test_schemathesis import OPERATIONS as OF_DEVICES
from tests.integration.field import Enrolled, enrolled
from tests.integration.uploads.test_schemathesis import OPERATIONS as OF_UPLOADS

pytestmark = [
    pytest.mark.django_db(databases=["server"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


FORMS = {"integer": re.compile(r"-?[0-9]+"), "date": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")}


@dataclass(frozen=True)
class Operation:
    """One operation of the description, as the project itself writes it."""

    method: str
    path: str
    facts: dict[str, Any]

    @property
    def inputs(self) -> list[dict[str, Any]]:
        return list(self.facts.get("parameters", []))

    @property
    def modes(self) -> list[GenerationMode]:
        """What takes nothing has nothing to spoil."""
        has_input = bool(self.inputs) or "requestBody" in self.facts
        return list(GenerationMode) if has_input else [GenerationMode.POSITIVE]

    @property
    def takes_any_text(self) -> bool:
        """A text in the query or a header: a wrong type there is a text like any other once it is written down."""
        schemas = [one["schema"] for one in self.inputs if one["in"] in ("query", "header")]
        return any(schema.get("items", schema) == {"type": "string"} for schema in schemas)

    def is_spoilt(self, case: Any) -> bool:
        """Whether what is sent still breaks the description: the token that was left out is put back here, and an
        empty list in the query is not written down at all."""
        if "requestBody" in self.facts or "{" in self.path:
            return True
        sent = {name: value for name, value in dict(case.query or {}).items() if value != []}
        forms = {one["name"]: FORMS.get(one["schema"].get("format", one["schema"]["type"])) for one in self.inputs}
        if set(sent) - set(forms):
            return True
        return any(form and not form.fullmatch(str(sent[name])) for name, form in forms.items() if name in sent)


def described() -> list[Operation]:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return [
        Operation(method.upper(), path, facts)
        for path, item in schema["paths"].items()
        for method, facts in item.items()
        if method in METHODS
    ]


OF_PEOPLE = {*OF_DEVICES, *OF_UPLOADS}
"""What is asked by users instead of devices: thrown at in tests of their own."""

OPERATIONS = [one for one in described() if (one.method, one.path) not in OF_PEOPLE]
SEED = 20_261_121
NOT_MEANT = {"positive_data_acceptance", "ignored_auth"}
"""A random code or batch fits the description and is refused all the same: that is their point. Each request here
carries a good token, which schemathesis takes for one of its own; bad tokens are in test_rest."""

ANY_TEXT = {"negative_data_rejection"}
VISITORS_ONLY = ("/api/v1/outgoing", "/api/v1/manifest")
"""Where only middlemen and servers are let in."""


@schemathesis.serializer("application/vnd.syncserver.batch")
def batch_bytes(context: Any, value: Any) -> bytes:
    """A body that is no text goes as it is; anything else as its text."""
    raw = getattr(value, "data", value)
    return raw if isinstance(raw, bytes) else str(raw).encode(errors="replace")


@pytest.fixture
def askers(settings: Any) -> dict[str, Enrolled]:
    """By role: who asks."""
    settings.SYNC_SERVER_DATABASE = "server"
    settings.SYNC_ENROL_ATTEMPTS_PER_MINUTE_MAX = 1_000_000
    settings.SYNC_VISITS_PER_MINUTE_MAX = 1_000_000
    settings.ALLOWED_HOSTS = ["*"]
    return {role: enrolled("server", f"test-{role}", role=role) for role in ("client", "relay")}


@pytest.mark.parametrize(
    ("operation", "mode"),
    [
        pytest.param(operation, mode, id=f"{operation.facts['operationId']}-{mode.value}")
        for operation in OPERATIONS
        for mode in operation.modes
    ],
)
@pytest.mark.parametrize("count", [pytest.param(10, id="10"), pytest.param(200, id="200", marks=pytest.mark.long)])
def test_every_answer_is_one_that_the_description_names(
    askers: dict[str, Enrolled], operation: Operation, mode: GenerationMode, count: int
) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/v1/schema/?format=json", application)
    strategy = schema[operation.path][operation.method].as_strategy(generation_mode=mode)
    asker = askers["relay" if operation.path.startswith(VISITORS_ONLY) else "client"]
    load_all_checks()
    names = set(CHECKS.get_all_names()) - NOT_MEANT

    @seed(SEED)
    @examples(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def every(case: Any) -> None:
        left_out = set() if operation.is_spoilt(case) and not operation.takes_any_text else ANY_TEXT
        checks = CHECKS.get_by_names(sorted(names - left_out))
        response = case.call(headers=asker.headers)
        case.validate_response(response, checks=checks)

    every()
    assert not IncomingBatch.objects.using("server").exists()
    assert not IncomingTransaction.objects.using("server").exists()


def test_the_description_names_every_address_of_the_interface() -> None:
    """So the operations thrown at are all that there are: beside them stand the description itself with its page, tus,
    which describes itself, and two addresses that may end in a slash."""
    beside = ("schema", "schema-page", "nothing", "file_uploads", "file_upload", None)
    named = [pattern for pattern in urls.urlpatterns if pattern.name not in beside]
    routes = {re.sub(r"<\w+:", "<", f"/api/v1/{pattern.pattern}") for pattern in named}
    paths = {
        re.sub(r"\{(\w+)\}", r"<\1>", path) for path in {one.path for one in OPERATIONS} | {p for _, p in OF_PEOPLE}
    }
    assert paths == routes
    assert {(one.method, one.path) for one in described()} >= OF_PEOPLE
