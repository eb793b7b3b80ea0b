"""Seals what is pending and sends it, batch by batch, to every target. May be cut anywhere and goes on from there.

A batch is marked as delivered only by the receiver's signed receipt, never by a mere sending. What was sealed is sent
as it is stored; a batch that reached the server without its receipt reaching us is simply sent again. One target's
failure never keeps the others from getting theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx

from sync_api.client.deliver import Deliverer, asks_for_earlier
from sync_api.client.elsewhere import push_elsewhere
from sync_api.client.files import Budget, send_files
from sync_api.client.http import Server
from sync_api.client.push_report import PushReport, PushRun, TargetResult, report_facts
from sync_api.client.targets import active_targets, ensure_home, is_open, note_failure, note_home, note_success
from sync_api.client.visit import visiting
from sync_api.conf import alias_settings
from sync_api.exceptions import (
    NoLocalDevice,
    NotEnrolled,
    PeerNotTrusted,
    RecipientKeyMissing,
    ServerRefused,
    SyncError,
)
from sync_api.fleet import Heartbeat
from sync_api.models import LocalDevice, OutgoingBatch, PushTarget
from sync_api.sealing import seal, seal_next
from sync_api.trust import trusted_servers
from sync_api.waiting import waiting_transactions
from sync_api.wire.keys import TOKEN_FILE, device_folder

__all__ = ["PushReport", "PushRun", "enrolled_device", "push", "push_to_targets", "read_token", "report_facts"]

Progress = Callable[[int], None]

FIRST_BATCH_LINES = 1_000
BATCH_GROWTH = 2


def push(
    alias: str,
    *,
    allow_http: bool = False,
    progress: Progress | None = None,
    transport: httpx.BaseTransport | None = None,
) -> PushReport:
    """Send everything that this device has to its home server and to its other targets; the home server's report.

    `progress` is called with the transactions of each batch delivered. The home server is tried even when its circuit
    is open. Refuses with CaptureBroken or BaselineMissing before anything is sent; raises what went wrong at the home
    server, or in sealing, after the other targets were tried. What went wrong at another target is in the report's
    `targets`. Opens a transaction per batch, none while it waits for the network. Two pushes at once do no harm.
    """
    run = push_to_targets(alias, by_hand=True, allow_http=allow_http, progress=progress, transport=transport)
    home = run.home
    assert home is not None, "an enrolled device has a home server"
    for error in (home.error, run.error):
        if error is not None:
            raise error
    home.report.targets = [result.facts for result in run.results]
    return home.report


def push_to_targets(
    alias: str,
    *,
    target: str | None = None,
    by_hand: bool = False,
    files_bytes_max: int | None = None,
    allow_http: bool = False,
    progress: Progress | None = None,
    transport: httpx.BaseTransport | None = None,
) -> PushRun:
    """Push to every active target whose circuit is closed, or to the one called `target` whatever its circuit says.

    `by_hand`: the home server is tried although its circuit is open. What goes wrong at a target is in its result, and
    what cannot be sealed in the run's `error`; the rest goes on. At each target the bytes of files go after the
    records, in all at most `files_bytes_max`. Raises before anything is sent: NoLocalDevice,
    NotEnrolled, PushTargetUnknown, CaptureBroken, BaselineMissing.
    """
    from sync_api.capture.verify import require_whole_capture

    device = enrolled_device(alias)
    require_whole_capture(alias)
    ensure_home(alias, device)
    run = PushRun()
    budget = Budget(files_bytes_max)
    for chosen in active_targets(alias, device, target):
        report = PushReport(device.name, chosen.name)
        result = TargetResult(chosen.name, chosen.kind, chosen.url, "sent", report)
        run.results.append(result)
        is_home = chosen.kind == PushTarget.Kind.HOME
        if is_open(alias, chosen) and target is None and not (by_hand and is_home):
            result.state = "skipped"
            result.open_until = chosen.open_until.isoformat() if chosen.open_until else None
            continue
        tell = progress if progress is not None and not any(one.report.batches for one in run.results) else silent
        try:
            if is_home:
                push_home(alias, device, run, report, tell, budget, allow_http=allow_http, transport=transport)
            else:
                seal_rest(alias, device, run)
                push_elsewhere(alias, device, chosen, report, tell, budget, allow_http=allow_http, transport=transport)
        except SyncError as error:
            result.state, result.error = "failed", error
            note_failure(alias, chosen, error)
        else:
            note_success(alias, chosen)
        finally:
            if is_home:
                note_home(alias, chosen)
    return run


def silent(transactions: int) -> None:
    """Nobody watches."""


def push_home(
    alias: str,
    device: LocalDevice,
    run: PushRun,
    report: PushReport,
    progress: Progress,
    budget: Budget,
    *,
    allow_http: bool,
    transport: httpx.BaseTransport | None,
) -> None:
    """Seal and send everything to the home server; with nothing to send, ask it once. Its answers bring the
    recipients' keys that changed, without a request of their own. What cannot be sealed is the
    run's error, not the server's. A server that was restored does not know the token: it is visited instead."""

    def converse(server: Server) -> None:
        before = server.requests
        try:
            deliverer = Deliverer(alias, device, server, report, progress)
            server.heartbeat = Heartbeat(alias).header
            send_all(alias, deliverer, run)
            if server.requests == before:
                deliverer.ask()
            if deliverer.recipients_taken and isinstance(run.error, RecipientKeyMissing):
                run.error = None  # the key that was missing may have come just now
                send_all(alias, deliverer, run)
            run.error = run.error or deliverer.recipients_error
            report.files = send_files(alias, server, device.server_name, to_server=True, budget=budget)
        finally:
            report.requests = server.requests

    token = read_token(device)
    try:
        with Server(device.server_url, token=token, allow_http=allow_http, transport=transport) as server:
            converse(server)
    except ServerRefused as error:
        if error.code != "token_unknown" or not device.certificate:
            raise
        with visit_home(alias, device, error, allow_http=allow_http, transport=transport) as server:
            converse(server)


def visit_home(
    alias: str,
    device: LocalDevice,
    refused: ServerRefused,
    *,
    allow_http: bool,
    transport: httpx.BaseTransport | None,
) -> Server:
    """The home server by this device's certificate. What it answered before is raised when that is not taken either."""
    try:
        server = visiting(alias, device.server_url, allow_http=allow_http, transport=transport)
    except (PeerNotTrusted, ServerRefused) as error:
        raise refused from error
    if server.peer.public_key != trusted_servers(alias).get(device.server_name):
        server.client.close()
        raise refused
    return server


def send_all(alias: str, deliverer: Deliverer, run: PushRun) -> None:
    """Send what is stored and what is pending. A server that does not know the epoch which ours continues, or not all
    of it, has lost that (restored from a backup): it gets it again first, also before the first batch of ours."""
    device = deliverer.device
    if device.began.get("kind") == "continues" and not device.acknowledged_number and waiting_transactions(alias):
        deliverer.ask()
    for may_recover in (True, False):
        try:
            deliverer.send_stored()
            seal_and_send(alias, deliverer, run)
            return
        except ServerRefused as error:
            if error.code != "epoch_unknown" or not may_recover:
                raise
            deliverer.ask()


def seal_and_send(alias: str, deliverer: Deliverer, run: PushRun) -> None:
    """Seal the next batch and keep the last receipt while the server takes a batch; the order of sending is that of
    sealing, and no batch leaves before the one ahead of it was answered. Where the answer asks for earlier batches
    (the server was restored from a backup), these are sent before the next one leaves. The first batch is a small one,
    each next twice as large, up to SYNC_BATCH_LINES: the server and its consumer have work at once, and a weak link
    has its first receipt soon.

    The thread only waits for the network: it touches no database, and one request is under way at a time.
    """
    with ThreadPoolExecutor(max_workers=1) as network:
        on_its_way: tuple[OutgoingBatch, Future[dict[str, Any]]] | None = None
        lines = FIRST_BATCH_LINES
        while (batch := seal_or_note(alias, deliverer.device, run, lines)) is not None:
            lines *= BATCH_GROWTH
            answered = None if on_its_way is None else (on_its_way[0], on_its_way[1].result())
            if answered is not None and asks_for_earlier(answered[1]):
                deliverer.settle(*answered)
                answered = None
            on_its_way = batch, network.submit(deliverer.post, batch)
            if answered is not None:
                deliverer.settle(*answered)
        if on_its_way is not None:
            deliverer.settle(on_its_way[0], on_its_way[1].result())


def seal_or_note(alias: str, device: LocalDevice, run: PushRun, lines: int) -> OutgoingBatch | None:
    """The next batch; None when there is none, or when it cannot be sealed, which is noted as the run's error."""
    try:
        return seal_next(alias, device.name, lines=lines)
    except SyncError as error:
        run.error = error
        return None


def seal_rest(alias: str, device: LocalDevice, run: PushRun) -> None:
    """Seal what the home server's turn has left, for the other targets."""
    try:
        seal(alias, device.name)
    except SyncError as error:
        run.error = error


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
