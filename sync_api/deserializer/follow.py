"""Consuming without an end, and in several processes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import SpawnContext
from typing import Any

import django

from sync_api import conf
from sync_api.deserializer.claim import anything_held
from sync_api.deserializer.consume import consume
from sync_api.deserializer.report import ConsumeReport, DeviceReport


def follow(
    alias: str,
    device: str | None = None,
    *,
    workers: int = 1,
    tell: Callable[[str], Any],
    rounds: int | None = None,
) -> None:
    """Consume what arrives, and look again every SYNC_FOLLOW_SECONDS when nothing did; `rounds` None: for ever.

    What is parked is tried again every SYNC_PARKED_RETRY_SECONDS. Devices in trouble are told and tried again;
    the others go on. With more than one worker, each is a process of its own.
    """
    if workers > 1:
        processes = [spawning().Process(target=follow_alone, args=(alias, device), daemon=True) for _ in range(workers)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        return
    retried_at = float("-inf")
    told: list[str] = []
    while rounds is None or rounds > 0:
        retry = time.monotonic() - retried_at >= conf.limit("SYNC_PARKED_RETRY_SECONDS")
        report = consume(alias, device, retry=retry) if retry or anything_held(alias, device) else ConsumeReport([])
        if retry:
            retried_at = time.monotonic()
        if report.total("transactions") or report.total("released"):
            tell(report.sentence)
        elif report.errors and report.errors != told:
            tell("\n".join(report.errors))
        told = report.errors
        rounds = None if rounds is None else rounds - 1
        if not report.total("batches") and rounds != 0:
            time.sleep(conf.limit("SYNC_FOLLOW_SECONDS"))


def follow_alone(alias: str, device: str | None) -> None:
    """One worker's process."""
    django.setup()
    follow(alias, device, tell=print)


def in_workers(alias: str, device: str | None, workers: int) -> ConsumeReport:
    """One run in several processes: each takes the devices that no other one is at. Their reports, added up."""
    with ProcessPoolExecutor(workers, mp_context=spawning(), initializer=django.setup) as pool:
        reports = [future.result() for future in [pool.submit(consume, alias, device) for _ in range(workers)]]
    merged: dict[str, DeviceReport] = {}
    for report in reports:
        for part in report.devices:
            merged.setdefault(part.device, DeviceReport(part.device, is_busy=True)).merge(part)
    return ConsumeReport(list(merged.values()))


def spawning() -> SpawnContext:
    """Fresh processes: open database connections do not survive a fork."""
    return multiprocessing.get_context("spawn")
