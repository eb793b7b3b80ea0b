"""The router's way as a mode: everything that waits is copied from database to database, round after round.

For connections that are good: this process reaches both databases. The promises are those of a push. The batches are
the same sealed bytes through the same inbox, a batch counts as delivered by the server's receipt, and what the other
database has lost is copied again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import Error as DatabaseError
from django.db import connections

from sync_api.conf import alias_settings, limit
from sync_api.exceptions import (
    NoLocalDevice,
    NotTheHomeServer,
    RouterTargetMissing,
    SameDatabaseAlias,
    ServerKeyElsewhere,
    SyncError,
)
from sync_api.fleet import keep_own_heartbeat
from sync_api.models import DeviceCredential, IncomingEpoch, LocalDevice, OutgoingBatch, OutgoingTransaction
from sync_api.router.copying import hand_over
from sync_api.router.enrolling import enrol_locally, require_server
from sync_api.transactions import immediate
from sync_api.trust import statements_for, take_statements
from sync_api.waiting import EPOCH_ENDED, HELD, REFUSED, unsettled
from sync_api.wire.keys import device_keys

DOUBLED_MAX = 16


@dataclass(slots=True)
class RoundReport:
    """What one round copied. `again`: batches that the other database had lost."""

    device: str
    server: str
    batches: int = 0
    transactions: int = 0
    again: int = 0


def copy_round(source: str, target: str) -> RoundReport:
    """Copy what waits in `source` to `target`, what `target` has lost, and the statements both ways.

    Opens its own transactions, one per batch; cut anywhere, it can be run again. CaptureBroken or BaselineMissing
    before anything is copied; SameDatabaseAlias, NotAServer, NotTheHomeServer, ServerKeyElsewhere, NoLocalDevice;
    and what the inbox refuses.
    """
    from sync_api.capture.verify import require_whole_capture

    if source == target:
        raise SameDatabaseAlias(alias=source)
    require_server(target)
    require_server_key(target)
    device = LocalDevice.objects.using(source).filter(name=alias_settings(source).device).first()
    if device is None:
        raise NoLocalDevice(alias=source)
    require_whole_capture(source)
    report = RoundReport(device.name, alias_settings(target).device)
    if device.certificate and device.server_name != report.server:
        raise NotTheHomeServer(device=device.name, home=device.server_name, server=report.server)
    enrol_locally(source, device, target)
    copy_lost(source, device, target, report)
    copy_stored(source, device, target, report)
    pending = OutgoingTransaction.objects.using(source).filter(device=device.name, is_consumed_server=False)
    copied = pending.copy_to_incoming_transaction(target)
    report.batches += copied.batches
    report.transactions += copied.transactions
    exchange(source, device, target)
    return report


def require_server_key(target: str) -> None:
    """This process signs in the server's name, so it must have the very key of that server. ServerKeyElsewhere."""
    name = alias_settings(target).device
    own = device_keys(name).public_hex
    issued = DeviceCredential.objects.using(target).filter(certificate__issuer=name)
    for certificate in issued.order_by("-pk").values_list("certificate", flat=True)[:1]:
        if certificate.get("issuer_key") != own:
            raise ServerKeyElsewhere(server=name)


def copy_lost(source: str, device: LocalDevice, target: str, report: RoundReport) -> None:
    """A database that was restored from a backup gets again what it had receipted since."""
    epochs = IncomingEpoch.objects.using(target).filter(device__name=device.name)
    heads = dict(epochs.values_list("epoch", "head_number"))
    receipted = OutgoingBatch.objects.using(source).filter(device=device, receipts__has_key=HELD).order_by("id")
    for epoch, number in list(receipted.values_list("epoch", "number")):
        if number > heads.get(epoch, 0):
            hand_over(source, device, epoch, number, target)
            report.again += 1


def copy_stored(source: str, device: LocalDevice, target: str, report: RoundReport) -> None:
    """Sealed batches without a receipt: earlier epochs first, and those that were restored from a stick."""
    waiting = unsettled(OutgoingBatch.objects.using(source).filter(device=device)).order_by("id")
    places = list(waiting.values_list("epoch", "number"))
    for epoch, number in sorted(places, key=lambda place: place[0] == device.epoch):
        try:
            lines = hand_over(source, device, epoch, number, target)
        except SyncError as error:
            if error.code not in EPOCH_ENDED or epoch == device.epoch:
                raise
            note_refused(source, device, epoch, error.code)
            continue
        report.batches += 1
        report.transactions += lines


def note_refused(source: str, device: LocalDevice, epoch: str, code: str) -> None:
    """Note on an earlier epoch's batches that the server will not take them; they stay. Opens its own transaction."""
    with immediate(source):
        for batch in unsettled(OutgoingBatch.objects.using(source).filter(device=device, epoch=epoch)).only("receipts"):
            batch.receipts = {**batch.receipts, REFUSED: code}
            batch.save(using=source, update_fields=["receipts"])


def exchange(source: str, device: LocalDevice, target: str) -> None:
    """Receipts, revocations and the like, both ways."""
    take_statements(source, statements_for(target, [device.name]), via=f"{alias_settings(target).device}, by router")
    keep_own_heartbeat(source)
    take_statements(target, statements_for(source, [device.name]), via=f"{device.name}, by router")


def target_of(source: str, target: str | None = None) -> str:
    """The alias to copy to: the one given, else `copy_to` in SYNC_DATABASES. RouterTargetMissing."""
    from django.conf import settings

    found = target or getattr(settings, "SYNC_DATABASES", {}).get(source, {}).get("copy_to", "")
    if not found or found not in connections:
        raise RouterTargetMissing(alias=source, target=found)
    return str(found)


def follow_rounds(
    source: str,
    target: str,
    tell: Callable[[RoundReport | str], None],
    *,
    again: Callable[[], bool] = lambda: True,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Copy round after round, until `again` says no or the process is interrupted.

    While a database cannot be reached or the server refuses, it waits longer with each round (full jitter, at most
    SYNC_BACKOFF_SECONDS_MAX) and goes on; the same trouble is told once.
    """
    failures, told = 0, ""
    while True:
        trouble = ""
        try:
            report = copy_round(source, target)
            if report.batches or report.again:
                tell(report)
        except SyncError as error:
            trouble = str(error)
        except DatabaseError as error:
            trouble = f"A database did not answer ({type(error).__name__}). Nothing is lost; it is tried again."
            for alias in (source, target):
                connections[alias].close()
        if trouble and trouble != told:
            tell(trouble)
        told = trouble
        failures = failures + 1 if trouble else 0
        if not again():
            return
        sleep(float(limit("SYNC_COPY_SECONDS")) + backoff(failures))


def backoff(failures: int) -> float:
    """Seconds to wait besides, after so many failures in a row: full jitter, doubled each time within the limit."""
    if not failures:
        return 0.0
    doubled = float(limit("SYNC_BACKOFF_SECONDS")) * 2.0 ** min(failures - 1, DOUBLED_MAX)
    return random.uniform(0, min(float(limit("SYNC_BACKOFF_SECONDS_MAX")), doubled))
