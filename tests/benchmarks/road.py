"""The way of the benchmarks: a laptop in this process, a server in its own, HTTP between."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.core.management import call_command
from django.db import connections, transaction

from sync_api.capture import sync_context
from sync_api.models import OutgoingBatch
from tests.benchmarks import data, databases
from tests.benchmarks.bench.models import SyncedRecord
from tests.processes import Installation, Web, running_web

UNIT_ROWS = 10
"""Rows per database transaction on the laptop: a form with its details."""

LAPTOP = "laptop"


@contextmanager
def serving(server: str) -> Iterator[Web]:
    """A web process on the alias' database."""
    own = settings.SYNC_DATABASES[server]
    folder = Path(settings.FOLDER) / f"web-{server}"
    folder.mkdir(exist_ok=True)
    installation = Installation(
        folder,
        own["role"],
        own["device"],
        databases.url(server),
        settings.APPS,
        {"SYNC_KEY_DIR": settings.SYNC_KEY_DIR, "SECRET_KEY": settings.SECRET_KEY},
    )
    with running_web(installation) as web:
        yield web


@contextmanager
def enrolled(server: str) -> Iterator[Web]:
    """New databases for the laptop and the server, the laptop enrolled and its sites already applied."""
    for alias in (LAPTOP, server):
        databases.create(alias)
    with serving(server) as web:
        code = command("add_device", settings.SYNC_DATABASES[LAPTOP]["device"], database=server)["code"]
        command("enrol", server=web.url, code=code, database=LAPTOP)
        push()
        consume(server)
        try:
            yield web
        finally:
            connections[server].close()
    for alias in (LAPTOP, server):
        databases.remove(alias)


def wake(web: Web) -> None:
    """One request that asks the database: a server that is up has its connection, which `databases.restore` cut."""
    answer = httpx.get(f"{web.url}/api/v1/devices/me", headers={"Authorization": "Bearer nobody"})
    assert answer.status_code == 401


def command(name: str, *arguments: str, **options: Any) -> Any:
    """The decoded `--json` answer of a management command (None if it gives none)."""
    output = io.StringIO()
    if name != "enrol":
        options["json"] = True
    call_command(name, *arguments, stdout=output, stderr=io.StringIO(), **options)
    text = output.getvalue().strip()
    return json.loads(text) if text.startswith(("{", "[")) else None


def push(alias: str = LAPTOP) -> Any:
    return command("push_transactions", database=alias)


def consume(alias: str) -> Any:
    return command("consume_transactions", database=alias)


def fill(alias: str, rows: int, *, seed: str = "way") -> None:
    """`rows` inserts pending on the laptop, UNIT_ROWS to a unit. Not durable, and not measured."""
    with connections[alias].cursor() as cursor:
        cursor.execute("PRAGMA synchronous=OFF")
    with sync_context(user="nurse-7", reason="visit"):
        pending = data.record_rows(rows, seed=seed)
        while unit := list(islice(pending, UNIT_ROWS)):
            with transaction.atomic(using=alias):
                SyncedRecord.objects.using(alias).bulk_create([SyncedRecord(**row) for row in unit])
    connections[alias].close()


def envelopes(alias: str = LAPTOP) -> list[tuple[bytes, int]]:
    """The sealed batches of records (bytes, lines); the first batch of all holds the sites."""
    batches = OutgoingBatch.objects.using(alias).filter(number__gt=1).order_by("number")
    return [(bytes(batch.content), batch.lines) for batch in batches]


def seconds_of(action: Any, *arguments: Any) -> float:
    began = time.perf_counter()
    action(*arguments)
    return time.perf_counter() - began
