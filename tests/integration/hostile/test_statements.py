"""Statements full of tricks: each stands or falls for itself, and none stands in another's way."""

from __future__ import annotations

from io import StringIO
from typing import Any

import orjson
import pytest
from django.core.management import call_command

from sync_api.fleet import fleet_status
from sync_api.models import Statement
from sync_api.trust import statements_for, take_statements
from sync_api.trust.handing_on import answer_statements, page_of_statements
from sync_api.trust.pins import pin_server
from sync_api.trust.verifying import Verifier
from sync_api.wire.keys import device_keys
from tests.integration.field import Enrolled, enrolled
from tests.integration.trust.said import said

pytestmark = [
    pytest.mark.django_db(databases=["server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
NAME = "test-laptop"


def heartbeat(device: Enrolled, **facts: Any) -> dict[str, Any]:
    return said("heartbeat", device.name, by=device.name, certificate=device.certificate, **facts)


@pytest.mark.parametrize("note", ["a\0b", {"a\0b": 1}, {"x": ["\0"]}, 1e300, 1e16, -0.0], ids=repr)
def test_what_a_database_would_not_give_back_is_left_out_alone(server: str, note: Any) -> None:
    """PostgreSQL refuses a NUL with the whole request, and gives 1e300 back as a number that no JSON can hold."""
    bad, good = enrolled(server, NAME), enrolled(server, "test-other")
    taken = take_statements(server, [heartbeat(bad, note=note), heartbeat(good)], via="test")
    assert (taken.new, dict(taken.refused)) == (1, {"malformed_statement": 1})
    assert Statement.objects.using(server).get().device == good.name


@pytest.mark.parametrize("note", [1.0, 0.0, -2.5, 1e-300, 123456789.125, 2**64 - 1, -(2**63), "\uffff\\u0000", [None]])
def test_what_is_kept_is_handed_on_as_it_was_signed(server: str, note: Any) -> None:
    assert take_statements(server, [heartbeat(enrolled(server, NAME), note=note)], via="test").new == 1
    told = orjson.loads(orjson.dumps(statements_for(server)))
    assert told == page_of_statements(server, None, after="")[0]
    assert [Verifier(server).verify(statement).name for statement in told] == [NAME]


@pytest.mark.parametrize(
    "facts",
    [
        {"clock": "0001-01-01T00:00:00+23:59", "oldest_pending_at": "9999-12-31T23:59:59-23:59", "pending": 10**18},
        {"seen": {"test-other": ["9999-12-31T23:59:59-23:59", 10**18], "x": [5, 1]}, "clock": "9999-01-01T00:00:00Z"},
        {"seen": [], "clock": 5, "versions": {"app": ["x"]}, "epoch": {}, "recorded": 3, "free_disk_bytes": -1},
    ],
)
def test_wild_facts_do_not_spoil_the_fleet_s_list(server: str, facts: dict[str, Any]) -> None:
    device, _ = enrolled(server, NAME), enrolled(server, "test-other")
    assert take_statements(server, [heartbeat(device, **facts)], via=f"{NAME}, heartbeat").new == 1
    assert {entry["device"] for entry in fleet_status(server)} >= {NAME, "test-other"}
    call_command("sync_status", "--json", database=server, stdout=StringIO())


def test_a_relay_cannot_drive_a_server_s_word_out(server: str, settings: Any) -> None:
    settings.SYNC_STATEMENTS_PER_REQUEST_MAX = 60
    relay = enrolled(server, "test-relay", role="relay")
    pin_server(server, "test-site", device_keys("test-site").public_hex)
    epoch, hash_hex = "a" * 32, "b" * 64
    durable = said("durable", NAME, by="test-site", epoch=epoch, number=3, hash=hash_hex)
    take_statements(server, [durable], via="test")
    flood = [
        said(
            *("held", NAME),
            by=relay.name,
            certificate=relay.certificate,
            epoch=f"{place:032x}",
            first=1,
            number=1,
            hash=hash_hex,
            note="x" * 10_000,
        )
        for place in range(100)
    ]
    assert take_statements(server, flood, via="test").new == 100
    page, _ = page_of_statements(server, [NAME], after="")
    answer = answer_statements(server, NAME, epoch)
    assert durable in page
    assert durable in answer
    assert len(page) == 60
    assert len(orjson.dumps(answer)) < 200_000


def test_what_a_device_says_is_of_limited_size(server: str) -> None:
    device = enrolled(server, NAME)
    taken = take_statements(server, [heartbeat(device, note="x" * 20_000)], via="test")
    assert dict(taken.refused) == {"malformed_statement": 1}
