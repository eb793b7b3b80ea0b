"""Feeds what a relay carries into its own inbox and mirror, as far as it may read it (`SYNC_INSPECT`).

What is carried stays as it is, to be handed on. What is sealed to others is stored sealed, and parked as such.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from django.conf import settings

from sync_api.conf import alias_settings
from sync_api.deserializer import consume
from sync_api.exceptions import NotInspecting, SyncError
from sync_api.inbox import accept
from sync_api.models import CarriedBatch, IncomingBatch
from sync_api.relay.waiting import epochs_in_order


@dataclass(slots=True)
class InspectReport:
    """`taken` went into the inbox, `early` wait there for batches that this relay has not met; `refused` has one
    sentence for each that the inbox did not take. `applied` counts the transactions in the mirror since."""

    taken: int = 0
    early: int = 0
    applied: int = 0
    refused: list[str] = field(default_factory=list)


def is_inspecting() -> bool:
    return bool(getattr(settings, "SYNC_INSPECT", False))


def inspect(alias: str, device: str | None = None) -> InspectReport:
    """Take what is carried (of one device, or of all) and apply it to the mirror here.

    Opens a transaction per batch; again, it changes nothing. One batch's trouble is told and leaves the others.
    Raises NotInspecting where `SYNC_INSPECT` is not on or this is no relay.
    """
    if not is_inspecting() or alias_settings(alias).role != "relay":
        raise NotInspecting(role=alias_settings(alias).role)
    report = InspectReport()
    carried = CarriedBatch.objects.using(alias).order_by("device")
    names = carried.values_list("device", flat=True).distinct() if device is None else [device]
    for name in list(names):
        for epoch in epochs_in_order(alias, name, epochs_of(alias, name)):
            take_epoch(alias, name, epoch, report)
        if IncomingBatch.objects.using(alias).filter(epoch__device__name=name).exists():
            report.applied += sum(one.transactions for one in consume(alias, name).devices)
    return report


def epochs_of(alias: str, device: str) -> list[str]:
    batches = CarriedBatch.objects.using(alias).filter(device=device).order_by("id")
    return list(dict.fromkeys(batches.values_list("epoch", flat=True)))


def take_epoch(alias: str, device: str, epoch: str, report: InspectReport) -> None:
    known = IncomingBatch.objects.using(alias).filter(epoch__device__name=device, epoch__epoch=epoch)
    batches = CarriedBatch.objects.using(alias).filter(device=device, epoch=epoch)
    for pk in list(
        batches.exclude(hash__in=known.values("hash")).order_by("number", "pk").values_list("pk", flat=True)
    ):
        batch = batches.get(pk=pk)
        try:
            accepted = accept(alias, bytes(batch.content), handed_over_by=device)
        except SyncError as error:
            report.refused.append(f"Batch {batch.number} of '{device}': {error}")
            continue
        report.early += accepted.state == "early"
        report.taken += accepted.state != "early"
