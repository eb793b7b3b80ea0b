"""Reading ahead: the next batch is decoded while this one is written, and only what has not changed since counts."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connections

from sync_api.deserializer import consume
from sync_api.deserializer.ahead import Ahead
from sync_api.models import IncomingBatch
from tests.integration.deserializer.received import Laptop, insert
from tests.matrix.models import Place

pytestmark = pytest.mark.django_db(databases=["server_pg"], transaction=True)

SERVER = "server_pg"


def place(number: int) -> dict[str, Any]:
    return {"id": number, "name": f"place {number}", "is_open": 1, "visitors": 0}


@pytest.fixture
def batches() -> list[IncomingBatch]:
    laptop = Laptop(SERVER)
    return [laptop.deliver([insert(Place, **place(number))]) for number in range(3)]


def test_the_next_batch_is_ready_and_one_that_changed_is_read_anew(batches: list[IncomingBatch]) -> None:
    ahead = Ahead(SERVER)
    try:
        for batch in batches:
            batch.refresh_from_db()
        ahead.look(batches[0])
        ready = ahead.take(batches[1])
        assert ready is not None
        assert [line.tx_pk for line in ready.lines] == ["1"]
        assert [change.key for change in ready.decoded.changes if change is not None] == [1]
        assert ahead.take(batches[1]) is None, "once"

        ahead.look(batches[0])
        assert ahead.take(batches[2]) is None, "another batch than the one that was read"
        ahead.look(batches[0])
        batches[1].size += 1
        assert ahead.take(batches[1]) is None, "its row is another than the one that was read"
        ahead.look(batches[2])
        assert ahead.take(batches[2]) is None, "nothing comes after the head"
    finally:
        ahead.close()


def test_a_run_that_read_ahead_applies_all_and_leaves_no_connection(batches: list[IncomingBatch]) -> None:
    before = sessions()
    assert consume(SERVER).total("transactions") == 3
    assert Place.mirror.using(SERVER).current().count() == 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]
    assert sessions() == before
    assert consume(SERVER).total("transactions") == 0


def sessions() -> int:
    with connections[SERVER].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        (count,) = cursor.fetchone()
    return int(count)
