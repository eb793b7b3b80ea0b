"""Seals what is pending and sends it, batch by batch. May be cut anywhere and goes on from there.

A batch is marked as delivered only by the server's signed receipt, never by a mere sending. What was sealed is sent
as it is stored; a batch that reached the server without its receipt reaching us is simply sent again.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from sync_api.client.deliver import Deliverer
from sync_api.client.http import Server
from sync_api.conf import alias_settings
from sync_api.exceptions import NoLocalDevice, NotEnrolled, ServerRefused
from sync_api.models import LocalDevice, OutgoingBatch
from sync_api.sealing import seal_next
from sync_api.wire.keys import TOKEN_FILE, device_folder


@dataclass(slots=True)
class PushReport:
    """What one push did. `applied_number` and `parked` are the server's word, known when nothing was to be sent."""

    device: str
    server: str
    batches: int = 0
    transactions: int = 0
    bytes: int = 0
    requests: int = 0
    closed_epochs: list[str] = field(default_factory=list)
    applied_number: int | None = None
    parked: int | None = None


def push(
    alias: str,
    *,
    allow_http: bool = False,
    progress: Callable[[int], None] | None = None,
    transport: httpx.BaseTransport | None = None,
) -> PushReport:
    """Send everything that this device has; `progress` is called with the transactions of each batch delivered.

    Refuses with CaptureBroken or BaselineMissing before anything is sent. Opens a transaction per batch, none while
    it waits for the network. Two pushes at once do no harm.
    """
    from sync_api.capture.verify import require_whole_capture

    device = enrolled_device(alias)
    require_whole_capture(alias)
    report = PushReport(device.name, device.server_name)
    token = read_token(device)
    with Server(device.server_url, token=token, allow_http=allow_http, transport=transport) as server:
        deliverer = Deliverer(alias, device, server, report, progress or (lambda transactions: None))
        send_all(alias, deliverer)
        if not report.requests and not server.requests:
            deliverer.ask()
        report.requests = server.requests
    return report


def send_all(alias: str, deliverer: Deliverer) -> None:
    """Send what is stored and what is pending. A server that does not know the epoch which ours continues has lost
    it (restored from a backup): it gets that again first."""
    for may_recover in (True, False):
        try:
            deliverer.send_stored()
            seal_and_send(alias, deliverer)
            return
        except ServerRefused as error:
            if error.code != "epoch_unknown" or not may_recover:
                raise
            deliverer.ask()


def seal_and_send(alias: str, deliverer: Deliverer) -> None:
    """Seal the next batch and keep the last receipt while the server takes a batch; the order of sending is that of
    sealing, and no batch leaves before the one ahead of it was answered.

    The thread only waits for the network: it touches no database.
    """
    with ThreadPoolExecutor(max_workers=1) as network:
        on_its_way: tuple[OutgoingBatch, Future[dict[str, Any]]] | None = None
        while (batch := seal_next(alias, deliverer.device.name)) is not None:
            answered = None if on_its_way is None else (on_its_way[0], on_its_way[1].result())
            on_its_way = batch, network.submit(deliverer.post, batch)
            if answered is not None:
                deliverer.settle(*answered)
        if on_its_way is not None:
            deliverer.settle(on_its_way[0], on_its_way[1].result())


def enrolled_device(alias: str) -> LocalDevice:
    name = alias_settings(alias).device
    device = LocalDevice.objects.using(alias).filter(name=name).first()
    if device is None:
        raise NoLocalDevice(alias=alias)
    if not device.server_url:
        raise NotEnrolled(device=name)
    return device


def read_token(device: LocalDevice) -> str:
    try:
        return (device_folder(device.name) / TOKEN_FILE).read_text().strip()
    except FileNotFoundError as error:
        raise NotEnrolled(device=device.name) from error


def report_facts(report: PushReport) -> dict[str, Any]:
    """For `--json`."""
    return {name: getattr(report, name) for name in PushReport.__slots__}
