"""The router's way as a mode: the promises of a push, between two databases of one process."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from sync_api import exceptions as errors
from sync_api.deserializer import consume
from sync_api.models import (
    DeviceCredential,
    IncomingBatch,
    IncomingEpoch,
    IncomingTransaction,
    LocalDevice,
    OutgoingBatch,
    OutgoingTransaction,
    Statement,
)
from sync_api.router.rounds import copy_round, follow_rounds, target_of
from sync_api.sealing import seal
from tests.integration.field import captured, local

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
NAME, SERVER = "test-laptop", "test-server"


@pytest.fixture(autouse=True)
def one_process(laptop: str, server: str, settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    settings.SYNC_BATCH_LINES = 2
    settings.SYNC_COPY_SECONDS = 0
    settings.SYNC_BACKOFF_SECONDS = 0
    settings.SYNC_DATABASES = {
        laptop: {"role": "client", "device": NAME, "capture": False, "copy_to": server},
        server: {"role": "server", "device": SERVER, "capture": False},
    }
    local(laptop, NAME)
    yield
    for alias in (laptop, server):
        Statement.objects.using(alias).all().delete()


def record(laptop: str, rows: int = 4) -> None:
    captured(laptop, NAME, [1] * rows, first_unit=secrets.randbelow(2**40))


def held(server: str) -> list[tuple[int, bytes]]:
    found = IncomingBatch.objects.using(server).order_by("epoch__ordinal", "number").values_list("number", "content")
    return [(number, bytes(content)) for number, content in found]


def sealed(laptop: str) -> list[tuple[int, bytes]]:
    found = OutgoingBatch.objects.using(laptop).order_by("id").values_list("number", "content")
    return [(number, bytes(content)) for number, content in found]


def run(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=StringIO(), **options)
    return out.getvalue()


def test_what_waits_arrives_as_the_very_bytes_and_is_marked_by_the_receipt(laptop: str, server: str) -> None:
    record(laptop)
    report = copy_round(laptop, server)
    assert (report.batches, report.transactions, report.again) == (2, 4, 0)
    assert held(server) == sealed(laptop)
    assert not OutgoingTransaction.objects.using(laptop).filter(is_consumed_server=False).exists()
    assert copy_round(laptop, server).batches == 0


def test_what_the_server_applied_is_known_after_the_next_round(laptop: str, server: str) -> None:
    record(laptop)
    copy_round(laptop, server)
    consume(server)
    copy_round(laptop, server)
    assert LocalDevice.objects.using(laptop).get(name=NAME).applied_number == 2


def test_what_was_sealed_before_goes_as_it_was_sealed(laptop: str, server: str) -> None:
    record(laptop)
    seal(laptop, NAME)
    before = sealed(laptop)
    assert copy_round(laptop, server).batches == 2
    assert held(server) == before


def test_a_server_restored_from_a_backup_gets_again_what_it_lost(laptop: str, server: str) -> None:
    record(laptop, 8)
    copy_round(laptop, server)
    first = IncomingBatch.objects.using(server).get(number=1)
    lost = IncomingBatch.objects.using(server).filter(number__gt=1)
    IncomingTransaction.objects.using(server).filter(batch__in=lost).delete()
    lost.delete()
    last = first.transactions.order_by("-sequence")[0]
    IncomingEpoch.objects.using(server).update(
        head_number=1,
        head_hash=first.hash,
        sequence=2,
        effective_at=last.effective_at,
    )
    report = copy_round(laptop, server)
    assert (report.batches, report.again) == (0, 3)
    assert held(server) == sealed(laptop)


def test_a_database_that_is_away_is_waited_for(laptop: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record(laptop)
    copy_round(laptop, server)
    record(laptop)
    told: list[Any] = []
    waits: list[float] = []
    table = IncomingEpoch._meta.db_table
    passes = iter(range(3))

    def again() -> bool:
        here = next(passes, None)
        if here == 1:
            rename(server, f"{table}_away", table)
        return here is not None

    rename(server, table, f"{table}_away")
    follow_rounds(laptop, server, told.append, again=again, sleep=waits.append)
    assert isinstance(told[0], str)
    assert "Nothing is lost" in told[0]
    assert [one.batches for one in told[1:]] == [2]
    assert held(server) == sealed(laptop)


def rename(alias: str, old: str, new: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(f'ALTER TABLE "{old}" RENAME TO "{new}"')


def test_without_the_server_s_own_key_nothing_is_copied(
    laptop: str, server: str, settings: Any, tmp_path: Path
) -> None:
    record(laptop)
    copy_round(laptop, server)
    settings.SYNC_KEY_DIR = str(tmp_path / "other-keys")
    record(laptop)
    with pytest.raises(errors.ServerKeyElsewhere):
        copy_round(laptop, server)
    assert len(held(server)) == 2


def test_a_laptop_of_another_server_is_told_where_to_copy(laptop: str, server: str) -> None:
    LocalDevice.objects.using(laptop).filter(name=NAME).update(server_name="test-other", certificate={"device": NAME})
    record(laptop)
    with pytest.raises(errors.NotTheHomeServer):
        copy_round(laptop, server)
    assert held(server) == []
    assert not DeviceCredential.objects.using(server).exists()


def test_a_database_that_is_no_server_s_is_refused(laptop: str, server: str) -> None:
    for source, target in ((laptop, laptop), (server, laptop)):
        with pytest.raises((errors.SameDatabaseAlias, errors.NotAServer)):
            copy_round(source, target)


def test_capture_that_is_broken_is_told_before_anything_is_copied(laptop: str, server: str) -> None:
    LocalDevice.objects.using(laptop).filter(name=NAME).update(baselines={"matrix.note": {"done": False}})
    with pytest.MonkeyPatch.context() as patch:
        from django.conf import settings

        patch.setitem(settings.SYNC_DATABASES, laptop, {**settings.SYNC_DATABASES[laptop], "capture": True})
        with pytest.raises((errors.BaselineMissing, errors.CaptureBroken)):
            copy_round(laptop, server)
    assert not DeviceCredential.objects.using(server).exists()


def test_the_command_takes_its_target_from_the_settings(laptop: str, server: str, settings: Any) -> None:
    record(laptop)
    assert json.loads(run("copy_transactions", "--json", database=laptop))["batches"] == 2
    assert "Nothing was waiting" in run("copy_transactions", to=server, database=laptop)
    assert target_of(laptop) == server
    settings.SYNC_DATABASES[laptop]["copy_to"] = ""
    with pytest.raises(CommandError, match="no database to copy to"):
        run("copy_transactions", database=laptop)
