"""One consumer per device at a time: the device's row is the claim, and one transaction is one batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import connections
from django.db.models import Exists, F, OuterRef, Q

from audit.engine import preserve_device
from audit.mirror.columns import NOW
from audit.models import Device, TableChanges
from sync_api.failpoints import failpoint
from sync_api.models import IncomingBatch, IncomingEpoch, IncomingEra, ParkedUnit
from sync_api.transactions import immediate


class Bound(NamedTuple):
    """Where to stop: after this sequence of this batch of this epoch (its ordinal)."""

    epoch: int
    number: int
    sequence: int


@contextmanager
def claimed(alias: str, device_id: int) -> Iterator[Device | None]:
    """A transaction that holds the device against other consumers; None if another one has it.

    SQLite: its write lock. PostgreSQL: the device's row, skipped when locked. Opens its own transaction.
    """
    with immediate(alias):
        devices = Device.objects.using(alias).filter(pk=device_id)
        if connections[alias].vendor != "sqlite":
            devices = devices.select_for_update(skip_locked=True, no_key=True)
        device = devices.first()
        yield device
        if device is not None:
            failpoint("consume.before_commit")
    failpoint("consume.after_commit")


def devices_with_work(alias: str) -> list[int]:
    """Ids of the devices with batches to consume or with parked units, in order of their names."""
    held = IncomingEpoch.objects.using(alias).filter(device=OuterRef("pk"), head_number__gt=F("consumed_number"))
    parked = ParkedUnit.objects.using(alias).filter(device=OuterRef("pk"), state=ParkedUnit.State.PARKED)
    devices = Device.objects.using(alias).filter(Q(Exists(held)) | Q(Exists(parked)))
    return list(devices.order_by("name").values_list("pk", flat=True))


def anything_held(alias: str, device: str | None = None) -> bool:
    """Whether a device (None: any) has batches to consume: one look-up, for whoever looks again and again."""
    held = IncomingEpoch.objects.using(alias).filter(head_number__gt=F("consumed_number"))
    return (held if device is None else held.filter(device__name=device)).exists()


def next_batch(alias: str, device_id: int) -> IncomingBatch | None:
    """The device's next batch to consume, without its bytes, its epoch beside it. Call inside the claim."""
    epochs = IncomingEpoch.objects.using(alias).filter(device=device_id, head_number__gt=F("consumed_number"))
    epoch = epochs.order_by("ordinal").first()
    if epoch is None:
        return None
    batches = IncomingBatch.objects.using(alias).filter(epoch=epoch, number=epoch.consumed_number + 1)
    batch = batches.filter(state=IncomingBatch.State.HELD).defer("content").first()
    if batch is not None:
        batch.epoch = epoch
    return batch


def open_epoch(
    alias: str, device: Device, epoch: IncomingEpoch, *, committed_by: str, now: datetime
) -> list[TableChanges]:
    """Begin an epoch: a fresh one first takes the device's records out of the era NOW. Once; inside the claim."""
    if epoch.is_opened:
        return []
    changes: list[TableChanges] = []
    if epoch.began.get("kind") == "fresh" and epoch.era == NOW:
        era = now.astimezone(UTC).isoformat()
        changes = preserve_device(alias, device, era, committed_by, True)
        earlier = IncomingEpoch.objects.using(alias).filter(device=device, era=NOW, ordinal__lt=epoch.ordinal)
        earlier.update(era=era)
        eras = IncomingEra.objects.using(alias).filter(epoch__device=device, epoch__ordinal__lt=epoch.ordinal, era=NOW)
        eras.update(era=era, ended_at=now)
    epoch.is_opened = True
    epoch.save(using=alias, update_fields=["is_opened"])
    return changes
