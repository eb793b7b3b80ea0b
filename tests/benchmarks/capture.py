"""What capture costs: the same writes to a plain model, a synced model and a django-simple-history model.

Each is one atomic block; the three take turns in the same database and in changing order, and every
repetition starts from a fresh copy.
"""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from django.db import models, transaction

from sync_api.capture import sync_context
from tests.benchmarks import data, databases
from tests.benchmarks.bench.models import HistoryRecord, PlainRecord, SyncedRecord
from tests.benchmarks.figures import REPEATS, Figure, median, ratio

MODELS: dict[str, type[models.Model]] = {
    "plain": PlainRecord,
    "synced": SyncedRecord,
    "history": HistoryRecord,
}
BOUNDS = {
    "sqlite": {"create": "<= 1.35", "update": "<= 1.3", "bulk_create": "<= 1.35"},
    "postgresql": {"create": "<= 1.3", "update": "<= 1.3"},
}
HISTORY_ROWS_MAX = 10_000
"""django-simple-history is measured once beside us; at more rows it would take most of the time."""

HISTORY_OPERATIONS = ("create", "update")
"""Its bulk_create keeps no history, so there is nothing to compare."""

Write = Callable[[type[models.Model], str, int], float]


def run(rows: int) -> Iterator[Figure]:
    for alias in ("laptop", "laptop_pg"):
        yield from measure(alias, rows)


def measure(alias: str, rows: int) -> Iterator[Figure]:
    databases.create(alias)
    databases.save(alias)
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    kinds = [kind for kind in MODELS if kind != "history" or rows <= HISTORY_ROWS_MAX]
    for repeat in range(REPEATS):
        databases.restore(alias)
        order = kinds[repeat % len(kinds) :] + kinds[: repeat % len(kinds)]
        for operation, write in WRITES.items():
            for kind in order:
                if kind == "history" and operation not in HISTORY_OPERATIONS:
                    continue
                seconds[operation, kind].append(write(MODELS[kind], alias, rows))
    databases.remove(alias)
    yield from figures(seconds, databases.vendor(alias), rows)


def figures(seconds: dict[tuple[str, str], list[float]], vendor: str, rows: int) -> Iterator[Figure]:
    for operation in WRITES:
        plain, synced = seconds[operation, "plain"], seconds[operation, "synced"]
        bound = BOUNDS[vendor].get(operation, "")
        yield Figure("capture", f"{operation}: synced / plain", vendor, rows, ratio(synced, plain), "x", bound)
        if history := seconds.get((operation, "history")):
            yield Figure("capture", f"{operation}: simple-history / plain", vendor, rows, ratio(history, plain), "x")
        yield Figure("capture", f"{operation}: plain, per row", vendor, rows, median(plain) / rows * 1e6, "us")


def create(model: type[models.Model], alias: str, rows: int) -> float:
    values = list(data.record_rows(rows, seed="create"))

    def write() -> None:
        for row in values:
            model(**row).save(using=alias)

    return timed(write, alias)


def update(model: type[models.Model], alias: str, rows: int) -> float:
    instances: list[Any] = list(model._default_manager.using(alias).order_by("pk"))
    changed = list(data.record_rows(rows, seed="update"))

    def write() -> None:
        for instance, row in zip(instances, changed, strict=True):
            instance.status, instance.score, instance.weight = row["status"], row["score"], row["weight"]
            instance.note = row["note"]
            instance.save(using=alias)

    return timed(write, alias)


def bulk_create(model: type[models.Model], alias: str, rows: int) -> float:
    instances = [model(**row) for row in data.record_rows(rows, seed="bulk")]
    manager: Any = model._default_manager.using(alias)

    def write() -> None:
        manager.bulk_create(instances)

    return timed(write, alias)


def timed(write: Callable[[], None], alias: str) -> float:
    """Seconds of `write` in one atomic block, its commit included."""
    gc.collect()
    began = time.perf_counter()
    with sync_context(user="nurse-7", reason="benchmark"), transaction.atomic(using=alias):
        write()
    return time.perf_counter() - began


WRITES: dict[str, Write] = {"create": create, "update": update, "bulk_create": bulk_create}
