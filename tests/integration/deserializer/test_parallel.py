"""Consumers side by side: each device has one at a time, and nothing is applied twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import TransactionTestCase

from sync_api.deserializer import ConsumeReport, consume
from sync_api.deserializer.claim import claimed
from sync_api.models import IncomingTransaction
from tests.integration.deserializer.received import Laptop, insert, update
from tests.matrix.models import Place

DATABASES = ["server", "server_pg"]

pytestmark = pytest.mark.django_db(databases=DATABASES, transaction=True)


@pytest.fixture(autouse=True, scope="module")
def flushed_once(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _: None)
        yield
    with django_db_blocker.unblock():
        for alias in DATABASES:
            call_command("flush", verbosity=0, interactive=False, database=alias)


def place(number: int, **values: Any) -> dict[str, Any]:
    return {"id": number, "name": f"place {number}", "is_open": 1, "visitors": 0} | values


def in_threads(count: int, act: Any) -> list[Any]:
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(act())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_several_consumers_apply_every_transaction_once(server: str) -> None:
    laptops = [Laptop(server, name=f"laptop-{number}") for number in range(4)]
    for _ in range(5):
        for laptop in laptops:
            first = laptop.epoch.head_number * 10
            laptop.deliver(*[[insert(Place, **place(first + number))] for number in range(10)])
    reports: list[ConsumeReport] = in_threads(3, lambda: consume(server))
    assert len(reports) == 3
    assert [error for report in reports for error in report.errors] == []
    consume(server)
    assert sum(report.total("transactions") for report in reports) <= 200
    assert Place.mirror.using(server).filter(mirror_device__in=[laptop.device.pk for laptop in laptops]).count() == 200
    assert not IncomingTransaction.objects.using(server).filter(is_consumed=False).exists()


def test_a_device_in_use_is_left_to_its_consumer_and_the_others_go_on() -> None:
    busy, free = Laptop("server_pg", name="busy"), Laptop("server_pg", name="free")
    for laptop in (busy, free):
        laptop.deliver([insert(Place, **place(1))], [update(Place, **place(1))])
    with claimed("server_pg", busy.device.pk):
        (report,) = in_threads(1, lambda: consume("server_pg"))
    by_device = {part.device: part for part in report.devices}
    assert by_device["busy"].is_busy
    assert by_device["busy"].transactions == 0
    assert by_device["free"].transactions == 2
    assert consume("server_pg").total("transactions") == 2


def test_devices_take_turns_so_that_a_long_backlog_keeps_nobody_waiting(server: str, settings: Any) -> None:
    settings.SYNC_CONSUME_TURN_BATCHES = 2
    backlog, small = Laptop(server, name="a-backlog"), Laptop(server, name="b-small")
    for number in range(7):
        backlog.deliver([insert(Place, **place(number))])
    small.deliver([insert(Place, **place(1)), insert(Place, **place(2)), insert(Place, **place(3))])
    lines: list[int] = []
    report = consume(server, progress=lines.append)
    assert lines == [1, 1, 3, 1, 1, 1, 1, 1]
    assert [part.batches for part in report.devices] == [7, 1]
