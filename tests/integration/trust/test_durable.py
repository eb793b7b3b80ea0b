"""The durable mark: only what a verified backup holds for certain; and the commands for operators."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone

from sync_api.conf import alias_settings
from sync_api.inbox import accept
from sync_api.models import IncomingBatch, IncomingEpoch, Statement
from sync_api.trust import statements_for, trusted_servers
from sync_api.wire.keys import device_keys
from sync_api.wire.statements import is_statement_of
from tests.integration.field import Chain, enrolled

pytestmark = [
    pytest.mark.django_db(databases=["server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
NAME = "test-laptop"
HOUR = timedelta(hours=1)


@pytest.fixture
def chain(server: str) -> Chain:
    """Four batches, received four, three, two and one hours ago."""
    chain = Chain.fresh(enrolled(server, NAME))
    for age in (4, 3, 2, 1):
        accept(server, chain.batch(), NAME)
        at = timezone.now() - age * HOUR
        IncomingBatch.objects.using(server).filter(number=chain.number).update(received_at=at)
    return chain


def run(server: str, name: str, *arguments: str, **options: Any) -> dict[str, Any]:
    out = StringIO()
    call_command(name, *arguments, "--json", database=server, stdout=out, **options)
    return dict(json.loads(out.getvalue()))


def mark(server: str, *arguments: str) -> list[int]:
    return [one["number"] for one in run(server, "mark_durable", *arguments)["marks"]]


def ago(hours: float) -> str:
    return str((timezone.now() - hours * HOUR).isoformat())


def durable_number(server: str) -> int:
    return int(IncomingEpoch.objects.using(server).get().durable_number)


def test_only_batches_received_before_the_backup_began_count(server: str, chain: Chain) -> None:
    assert mark(server, "--backup", "tape 7", "--at", ago(2.5)) == [2]
    assert durable_number(server) == 2
    (receipt,) = [one for one in statements_for(server, [NAME]) if one["kind"] == "durable"]
    assert (receipt["number"], receipt["epoch"]) == (2, chain.epoch)
    assert receipt["hash"] == IncomingBatch.objects.using(server).get(number=2).hash
    assert is_statement_of(receipt, device_keys(alias_settings(server).device).public_hex)


def test_a_batch_received_just_before_may_have_been_committed_after(server: str, chain: Chain, settings: Any) -> None:
    settings.SYNC_DURABLE_MARGIN_SECONDS = 3_600
    assert mark(server, "--backup", "tape 7", "--at", ago(2.5)) == [1]


def test_a_mark_never_goes_back_and_its_latest_receipt_counts(server: str, chain: Chain) -> None:
    mark(server, "--backup", "tape 7", "--at", ago(1.5))
    assert mark(server, "--backup", "tape 6", "--at", ago(3.5)) == [3]
    assert mark(server, "--backup", "tape 8", "--at", ago(0.5)) == [4]
    assert Statement.objects.using(server).filter(kind="durable").count() == 1
    assert durable_number(server) == 4


def test_until_and_device_narrow_it(server: str, chain: Chain) -> None:
    accept(server, Chain.fresh(enrolled(server, "test-other")).batch(), "test-other")
    assert mark(server, "--backup", "t", "--at", ago(0.1), "--device", NAME, "--until", "1") == [1]
    assert durable_numbers(server) == {NAME: 1, "test-other": 0}


def durable_numbers(server: str) -> dict[str, int]:
    return dict(IncomingEpoch.objects.using(server).values_list("device__name", "durable_number"))


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--backup", "tape 7"], "--at"),
        (["--backup", "tape 7", "--at", "2025-01-31T18:00"], "no time zone"),
        (["--backup", "tape 7", "--at", "2999-01-31T18:00+00:00"], "future"),
        (["--backup", __file__], "cannot be read"),
        (["--backup", "tape 7", "--at", "2025-01-31T18:00Z", "--device", "test-nobody"], "test-nobody"),
        (["--backup", "tape 7", "--at", "2025-01-31T18:00Z", "--until", "3"], "--device"),
    ],
)
def test_an_unclear_backup_marks_nothing(server: str, chain: Chain, arguments: list[str], what: str) -> None:
    with pytest.raises(CommandError, match=what):
        mark(server, *arguments)
    assert durable_number(server) == 0


def test_a_sqlite_backup_is_read_itself(chain_on_sqlite: Chain, tmp_path: Path) -> None:
    server, backup = "server", tmp_path / "backup.sqlite3"
    chain = chain_on_sqlite
    with sqlite3.connect(backup) as copy:
        connections[server].connection.backup(copy)
    accept(server, chain.batch(), NAME)
    IncomingBatch.objects.using(server).update(received_at=timezone.now() - 9 * HOUR)
    assert mark(server, "--backup", str(backup)) == [4]
    assert durable_number(server) == 4


def test_a_backup_with_other_bytes_or_a_gap_covers_only_what_is_before(chain_on_sqlite: Chain, tmp_path: Path) -> None:
    server, backup = "server", tmp_path / "backup.sqlite3"
    with sqlite3.connect(backup) as copy:
        connections[server].connection.backup(copy)
        copy.execute("UPDATE sync_api_incomingbatch SET content = x'00' WHERE number = 3")
    assert mark(server, "--backup", str(backup)) == [2]
    with sqlite3.connect(backup) as copy:
        copy.execute("DROP TABLE sync_api_incomingbatch")
    with pytest.raises(CommandError, match="cannot be read"):
        mark(server, "--backup", str(backup))
    assert durable_number(server) == 2


@pytest.fixture
def chain_on_sqlite() -> Chain:
    chain = Chain.fresh(enrolled("server", NAME))
    for _ in range(4):
        accept("server", chain.batch(), NAME)
    return chain


# --- trust_server --------------------------------------------------------------------------------------------------


def test_keys_are_pinned_replaced_listed_and_removed(server: str) -> None:
    key, other = device_keys("test-site").public_hex, device_keys("test-new").public_hex
    own = alias_settings(server).device
    facts = run(server, "trust_server", "test-site", "--key", key.upper())
    assert facts["own"]["public_key"] == device_keys(own).public_hex
    assert {one["name"]: one["why"] for one in facts["trusted"]} == {own: "itself", "test-site": "pinned"}
    assert trusted_servers(server)["test-site"] == key
    with pytest.raises(CommandError, match="--replace"):
        run(server, "trust_server", "test-site", "--key", other)
    assert trusted_servers(server)["test-site"] == key
    run(server, "trust_server", "test-site", "--key", other, "--replace")
    assert trusted_servers(server)["test-site"] == other
    run(server, "trust_server", "test-site", "--remove")
    assert "test-site" not in trusted_servers(server)
    with pytest.raises(CommandError, match="No key is pinned"):
        run(server, "trust_server", "test-site", "--remove")


def test_what_cannot_be_pinned_is_said(server: str) -> None:
    own = alias_settings(server).device
    for arguments in (["a/b", "--key", "ab" * 32], ["test-site", "--key", "short"], [own, "--key", "ab" * 32]):
        with pytest.raises(CommandError, match="cannot be pinned"):
            run(server, "trust_server", *arguments)
    for arguments in (["test-site"], ["--key", "ab" * 32]):
        with pytest.raises(CommandError, match="Give a name"):
            run(server, "trust_server", *arguments)


def test_the_list_can_be_read_out(server: str) -> None:
    out = StringIO()
    call_command("trust_server", database=server, stdout=out)
    assert f"This is {alias_settings(server).device}, key" in out.getvalue()
