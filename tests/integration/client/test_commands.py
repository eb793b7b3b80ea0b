"""The commands: one closing sentence or one JSON object; a user's mistake is one sentence and no traceback."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from sync_api.inbox import accept
from sync_api.models import IncomingBatch, OutgoingBatch
from sync_api.sealing import seal
from tests.integration.field import Chain, captured, enrolled, local

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
NAME = "test-laptop"


def run(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def test_add_device_prints_a_code_for_people_and_for_programs(server: str) -> None:
    told = json.loads(run("add_device", NAME, "--json", database=server))
    assert set(told) == {"device", "code", "expires_at"}
    text = run("add_device", NAME, "--role", "relay", database=server)
    assert "shown only now" in text
    assert told["code"] not in text


def test_a_wrong_name_is_one_sentence(server: str) -> None:
    with pytest.raises(CommandError, match="cannot be a device's name"):
        run("add_device", "a/b", database=server)


def test_a_mistyped_code_is_found_before_anything_is_sent() -> None:
    with pytest.raises(CommandError, match="check word does not fit"):
        run("enrol", server="https://sync.example.org", code="babab-babab-babab-babab-babab")


def test_an_unencrypted_address_is_refused(server: str) -> None:
    code = json.loads(run("add_device", NAME, "--json", database=server))["code"]
    with pytest.raises(CommandError, match="not encrypted"):
        run("enrol", server="http://sync.example.org", code=code)


def test_pushing_without_enrolment_says_what_to_do(laptop: str) -> None:
    with pytest.raises(CommandError, match="Run"):
        run("push_transactions", database=laptop)


def test_revoking_says_the_cut_off(server: str) -> None:
    accept(server, Chain.fresh(enrolled(server, NAME)).batch(), NAME)
    assert "up to 1 stay valid" in run("revoke_device", NAME, reason="stolen", database=server)
    with pytest.raises(CommandError, match="not enrolled"):
        run("revoke_device", "test-nobody", reason="stolen", database=server)
    with pytest.raises(CommandError, match="together"):
        run("revoke_device", NAME, "--after-number", "3", reason="stolen", database=server)


def test_the_chain_is_verified_on_either_side(laptop: str, server: str) -> None:
    local(laptop, NAME)
    captured(laptop, NAME, [1, 2])
    seal(laptop, NAME)
    accept(server, Chain.fresh(enrolled(server, "test-other")).batch(), "test-other")
    assert "1 batches made here and 0 received are whole" in run("verify_chain", database=laptop)
    assert json.loads(run("verify_chain", "--json", database=server))["problems"] == []


@pytest.mark.parametrize("damage", ["content", "hash", "missing"])
def test_a_damaged_store_fails_the_verification(server: str, damage: str) -> None:
    chain = Chain.fresh(enrolled(server, NAME))
    for _ in range(2):
        accept(server, chain.batch(), NAME)
    first = IncomingBatch.objects.using(server).filter(number=1)
    if damage == "content":
        first.update(content=first.get().content[:-9])
    elif damage == "hash":
        first.update(hash="ab" * 32)
    else:
        first.get().transactions.all().delete()
        first.delete()
    with pytest.raises(CommandError, match="problem"):
        run("verify_chain", database=server)


def test_an_outgoing_batch_that_was_changed_is_found(laptop: str) -> None:
    local(laptop, NAME)
    captured(laptop, NAME, [1])
    seal(laptop, NAME)
    OutgoingBatch.objects.using(laptop).update(hash="ab" * 32)
    with pytest.raises(CommandError, match="another hash"):
        run("verify_chain", database=laptop)


def test_the_status_shows_what_waits(laptop: str, server: str, settings: Any) -> None:
    settings.SYNC_DATABASES = {
        laptop: {"role": "client", "device": NAME},
        server: {"role": "server", "device": "test-server"},
    }
    local(laptop, NAME)
    captured(laptop, NAME, [1, 2])
    assert "waiting: 3 transactions" in run("sync_status", database=laptop)
    accept(server, Chain.fresh(enrolled(server, "test-other")).batch(), "test-other")
    fleet = json.loads(run("sync_status", "--json", database=server))["fleet"]
    assert [(one["device"], one["held_batches"], one["waiting_batches"]) for one in fleet] == [("test-other", 1, 1)]
    assert "1 batches held" in run("sync_status", database=server)
