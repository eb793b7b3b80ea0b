"""Concurrent writers on PostgreSQL: the order of units (by their last id) is the order of effect."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import orjson
import pytest
from django.db import connections, transaction
from django.db.models import F

from sync_api.capture import sync_context
from tests.integration.capture.log import Recorded, recorded
from tests.matrix.models import Place, Word

ALIAS = "laptop_pg"
WAIT = 20

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg"], transaction=True),
    pytest.mark.usefixtures("quick_flush"),
]


def COMMIT() -> None:
    """Ends a writer's transaction."""


class Writer:
    """One transaction in a thread of its own, driven step by step."""

    def __init__(self, pool: ThreadPoolExecutor, name: str) -> None:
        self.name = name
        self.steps: list[tuple[Callable[[], Any], Future[Any]]] = []
        self.wake = threading.Semaphore(0)
        self.ended = pool.submit(self.run)

    def run(self) -> None:
        try:
            with sync_context(user=self.name), transaction.atomic(using=ALIAS):
                while True:
                    assert self.wake.acquire(timeout=WAIT)
                    step, done = self.steps.pop(0)
                    if step is COMMIT:
                        break
                    done.set_result(step())
        finally:
            connections[ALIAS].close()

    def begin(self, step: Callable[[], Any]) -> Future[Any]:
        """Start a step; it may have to wait for another writer's row lock."""
        done: Future[Any] = Future()
        self.steps.append((step, done))
        self.wake.release()
        return done

    def do(self, step: Callable[[], Any]) -> Any:
        return self.begin(step).result(WAIT)

    def commit(self) -> None:
        self.begin(COMMIT)
        self.ended.result(WAIT)


def wait_until_blocked() -> None:
    for _ in range(WAIT * 100):
        with connections[ALIAS].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    raise AssertionError("No writer waits for a lock.")


def in_sealed_order(log: Recorded) -> list[list[Any]]:
    """Units by their last id, each as its transactions."""
    units: dict[int, list[Any]] = {}
    for tx in log:
        units.setdefault(tx.unit, []).append(tx)
    return sorted(units.values(), key=lambda unit: unit[-1].id)


def replay(log: Recorded) -> dict[str, dict[str, Any]]:
    """What a server makes of the units, applied one after the other."""
    rows: dict[str, dict[str, Any]] = {}
    for unit in in_sealed_order(log):
        for tx in unit:
            names = [name for name, _, _ in tx.schema.description["fields"]]
            if tx.action == "D":
                del rows[tx.tx_pk]
            else:
                rows[tx.tx_pk] = dict(zip(names, orjson.loads(tx.payload), strict=True))
    return rows


def set_text(code: str, text: str) -> Callable[[], Any]:
    return lambda: Word.objects.using(ALIAS).filter(code=code).update(text=text)


def test_the_writer_that_waited_for_a_row_comes_after_the_one_it_waited_for() -> None:
    """Both are open at once; the second drew its first id earlier, and still comes last."""
    with ThreadPoolExecutor(2) as pool, recorded(ALIAS) as log:
        Word.objects.using(ALIAS).bulk_create([Word(code="shared"), Word(code="own")])
        first, second = Writer(pool, "first"), Writer(pool, "second")
        second.do(set_text("own", "by second"))
        first.do(set_text("shared", "by first"))
        waiting = second.begin(set_text("shared", "by second"))
        wait_until_blocked()
        first.commit()
        assert waiting.result(WAIT) == 1
        second.commit()

    assert [unit[0].user for unit in in_sealed_order(log)] == [None, "first", "second"]
    assert replay(log)["shared"]["text"] == Word.objects.using(ALIAS).get(code="shared").text == "by second"


def test_interleaved_writers_of_different_rows_keep_their_units_apart() -> None:
    with ThreadPoolExecutor(2) as pool, recorded(ALIAS) as log:
        Word.objects.using(ALIAS).bulk_create([Word(code=code) for code in "abcd"])
        first, second = Writer(pool, "first"), Writer(pool, "second")
        for writer, code in ((first, "a"), (second, "b"), (first, "c"), (second, "d")):
            writer.do(set_text(code, writer.name))
        second.commit()
        first.commit()

    assert [(unit[0].user, [tx.tx_pk for tx in unit]) for unit in in_sealed_order(log)] == [
        (None, ["a", "b", "c", "d"]),
        ("first", ["a", "c"]),
        ("second", ["b", "d"]),
    ]


def test_delete_and_insert_of_one_key_by_two_writers() -> None:
    with ThreadPoolExecutor(2) as pool, recorded(ALIAS) as log:
        Word.objects.using(ALIAS).create(code="k", text="old")
        first, second = Writer(pool, "first"), Writer(pool, "second")
        first.do(lambda: Word.objects.using(ALIAS).filter(code="k").delete())
        waiting = second.begin(lambda: Word.objects.using(ALIAS).create(code="k", text="new"))
        wait_until_blocked()
        first.commit()
        waiting.result(WAIT)
        second.commit()

    assert [(tx.action, tx.user) for unit in in_sealed_order(log) for tx in unit] == [
        ("I", None),
        ("D", "first"),
        ("I", "second"),
    ]
    assert replay(log)["k"]["text"] == "new"


@pytest.mark.parametrize("seed", range(3))
def test_replay_of_many_concurrent_writers_equals_the_table(seed: int) -> None:
    """Six writers at once, many of them on one and the same row."""
    with recorded(ALIAS) as log:
        places = Place.objects.using(ALIAS).bulk_create([Place(name=f"place {n}") for n in range(4)])
        keys = sorted(place.pk for place in places)

        def write(number: int) -> None:
            choose = random.Random(seed * 100 + number)
            try:
                for _ in range(12):
                    with transaction.atomic(using=ALIAS):
                        for key in sorted(choose.sample(keys, choose.randint(1, 3))):
                            Place.objects.using(ALIAS).filter(pk=key).update(visitors=F("visitors") + 1)
            finally:
                connections[ALIAS].close()

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(write, range(6)))

    table = {str(row.pk): row.visitors for row in Place.objects.using(ALIAS).all()}
    assert {key: row["visitors"] for key, row in replay(log).items()} == table
