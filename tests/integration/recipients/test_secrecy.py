"""A stolen middleman and a wiped laptop show no field value: looked for in every byte of their databases."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from sync_api.capture import not_captured, sync_context
from sync_api.models import CarriedBatch, LocalDevice, OutgoingBatch, OutgoingTransaction, Statement
from sync_api.recipients.book import add_recipient
from sync_api.recipients.forgetting import forget_sealed_payloads, scrub_database
from sync_api.recipients.own import own_key
from sync_api.relay import carry
from sync_api.sealing import seal
from sync_api.wire.format import decode
from sync_api.wire.keys import device_keys
from tests.integration.relay.conftest import certified
from tests.matrix.models import Word

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
NAMES = {"default": "laptop-1", "laptop_pg": "laptop-2"}
ROLES = {"laptop-1": "client", "test-relay": "relay"}


@pytest.fixture(autouse=True)
def installations(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    settings.SYNC_SEALED_MODELS = {"matrix.word": ["central"]}
    before = {alias: list(LocalDevice.objects.using(alias).values()) for alias in NAMES}
    yield
    for alias, rows in before.items():
        with not_captured("end of a test"):
            Word.objects.using(alias).all().delete()
        for model in (OutgoingBatch, OutgoingTransaction, LocalDevice):
            model.objects.using(alias).all().delete()
        LocalDevice.objects.using(alias).bulk_create(LocalDevice(**row) for row in rows)


def write(laptop: str) -> list[str]:
    """Rows written, changed, renamed and deleted on the laptop; every value and reason of them."""
    values = [secrets.token_hex(8) for _ in range(7)]
    words = Word.objects.using(laptop)
    with sync_context(user="mona", reason=values[0]):
        words.create(code=values[1], text=values[2])
        words.filter(code=values[1]).update(text=values[3])
        words.filter(code=values[1]).update(code=values[4])
        words.create(code=values[5], text=values[6])
        words.filter(code=values[5]).delete()
    return values


def sealed_on(laptop: str) -> list[bytes]:
    add_recipient(laptop, "central", own_key("central").public_key)
    seal(laptop)
    return [bytes(batch.content) for batch in OutgoingBatch.objects.using(laptop).order_by("number")]


def everything(alias: str) -> bytes:
    """Every byte of a SQLite database and its WAL; every row of every table of a PostgreSQL one."""
    connection = connections[alias]
    if connection.vendor == "sqlite":
        path = Path(connection.settings_dict["NAME"])
        return b"".join(file.read_bytes() for file in path.parent.glob(path.name + "*"))
    told = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT t::text FROM "{table}" AS t')
            told += [row for (row,) in cursor.fetchall()]
    return "\n".join(told).encode()


def unpacked(contents: list[bytes]) -> bytes:
    """What batches show to who decompresses them."""
    envelopes = list(map(decode, contents))
    headers = [str(envelope.header).encode() for envelope in envelopes]
    return b"\n".join([*headers, *(line for envelope in envelopes for line in envelope.lines)])


def shown(values: list[str], *places: bytes) -> list[str]:
    return [value for value in values if any(value.encode() in place for place in places)]


def make_relay(settings: Any, relay: str) -> None:
    """A middleman and a laptop that central enrolled; the laptop's own alias is a client again."""
    settings.SYNC_DATABASES = {"default": {"role": "server", "device": "central"}}
    of_laptop, of_relay = (certified(name, role=role).certificate for name, role in ROLES.items())
    LocalDevice.objects.using("default").filter(name="laptop-1").update(certificate=of_laptop)
    settings.SYNC_DATABASES = {
        "default": {"role": "client", "device": "laptop-1"},
        relay: {"role": "relay", "device": "test-relay"},
    }
    LocalDevice.objects.using(relay).create(
        name="test-relay",
        role="relay",
        epoch="ab" * 16,
        began={"kind": "fresh"},
        server_name="central",
        server_key=device_keys("central").public_hex,
        certificate=of_relay,
    )


@pytest.mark.parametrize("relay", ["server", "server_pg"])
@pytest.mark.parametrize("is_sealed", [True, False])
def test_a_stolen_middleman_shows_no_field_value(settings: Any, relay: str, is_sealed: bool) -> None:
    make_relay(settings, relay)
    if not is_sealed:
        settings.SYNC_SEALED_MODELS = {}
    values = write("default")
    try:
        for content in sealed_on("default"):
            carry(relay, content, handed_over_by="laptop-1", role="client", via="push")
        contents = [bytes(batch.content) for batch in CarriedBatch.objects.using(relay).all()]
        assert contents
        assert shown(values, everything(relay), unpacked(contents)) == ([] if is_sealed else values)
    finally:
        for model in (CarriedBatch, Statement):
            model.objects.using(relay).all().delete()


def test_a_wiped_laptop_shows_no_field_value(laptop: str) -> None:
    values = write(laptop)
    contents = sealed_on(laptop)
    assert shown(values, everything(laptop)) == values
    last = OutgoingTransaction.objects.using(laptop).order_by("-id")[0].pk
    with not_captured("wiped in a test"):
        Word.objects.using(laptop).all().delete()
    assert forget_sealed_payloads(laptop, NAMES[laptop], last) == 6
    assert forget_sealed_payloads(laptop, NAMES[laptop], last) == 0
    assert scrub_database(laptop) is (laptop == "default")
    kept = [bytes(batch.content) for batch in OutgoingBatch.objects.using(laptop).order_by("number")]
    assert kept == contents
    assert shown(values, everything(laptop), unpacked(kept)) == []
    rows = OutgoingTransaction.objects.using(laptop).filter(tx_name="matrix.word")
    assert set(rows.values_list("payload", "reason", "user")) == {(None, None, "mona")}


def test_what_is_not_yet_sealed_or_came_later_is_not_forgotten(laptop: str) -> None:
    write(laptop)
    sealed_on(laptop)
    last = OutgoingTransaction.objects.using(laptop).order_by("-id")[0].pk
    Word.objects.using(laptop).create(code="later", text="unsealed")
    assert forget_sealed_payloads(laptop, NAMES[laptop], last + 1_000) == 6
    assert OutgoingTransaction.objects.using(laptop).get(tx_pk="later").payload
    seal(laptop)
    assert forget_sealed_payloads(laptop, NAMES[laptop], last) == 0
    assert OutgoingTransaction.objects.using(laptop).get(tx_pk="later").payload


def test_models_that_are_not_sealed_keep_their_log(laptop: str, settings: Any) -> None:
    settings.SYNC_SEALED_MODELS = {"matrix.place": ["central"]}
    write(laptop)
    sealed_on(laptop)
    last = OutgoingTransaction.objects.using(laptop).order_by("-id")[0].pk
    assert forget_sealed_payloads(laptop, NAMES[laptop], last) == 0
    call_command("verify_chain", database=laptop)
