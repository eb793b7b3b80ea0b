"""A new laptop takes back the copy that the lost one kept on a stick: as its own earlier, unsent batches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sync_api.bundles.backup import local_device
from sync_api.bundles.importing import check_trust
from sync_api.bundles.manifest import Listed
from sync_api.bundles.reading import Opened, opened
from sync_api.exceptions import BundleUnreadable, NotEnrolled, RestoreRefused
from sync_api.models import LocalDevice, OutgoingBatch
from sync_api.transactions import immediate
from sync_api.wire.format import decode
from sync_api.wire.header import read_header


@dataclass(slots=True)
class RestoreReport:
    """How many batches were restored, and how many were here already."""

    device: str
    restored: int = 0
    known: int = 0


def restore_unsent(alias: str, folder: str | Path) -> RestoreReport:
    """Take the batches of every file of this device's copy in `folder`; the next push sends them first, as they are.

    All files are checked first. Opens one transaction; again, it changes nothing. NotEnrolled, RestoreRefused,
    BundleUnreadable, BundleDamaged, BundleUntrusted: nothing is restored.
    """
    device = local_device(alias)
    if not device.server_key:
        raise NotEnrolled(device=device.name)
    paths = sorted(Path(folder).glob(f"unsent-{device.name}-*.zip"))
    if not paths:
        what = f"it holds no file that begins with 'unsent-{device.name}-'"
        raise BundleUnreadable(name=str(folder), what=what)
    for path in paths:
        with opened(path) as bundle:
            check_copy(alias, device, bundle)
    report = RestoreReport(device.name)
    with immediate(alias):
        device = LocalDevice.objects.using(alias).select_for_update().get(pk=device.pk)
        for path in paths:
            with opened(path) as bundle:
                take_back(alias, device, bundle, report)
    return report


def check_copy(alias: str, device: LocalDevice, bundle: Opened) -> None:
    check_trust(alias, bundle.manifest)
    if any(batch.device != device.name for batch in bundle.manifest.batches):
        raise RestoreRefused(device=device.name, what="it holds batches of another device.")


def take_back(alias: str, device: LocalDevice, bundle: Opened, report: RestoreReport) -> None:
    """Call inside a transaction that holds the device."""
    for batch, content in bundle.batches():
        stored = OutgoingBatch.objects.using(alias).filter(device=device, epoch=batch.epoch, number=batch.number)
        kept = stored.values_list("hash", flat=True).first()
        if kept == batch.hash:
            report.known += 1
            continue
        check_place(device, batch, kept)
        store(alias, device, content)
        report.restored += 1


def check_place(device: LocalDevice, batch: Listed, kept: str | None) -> None:
    if kept is not None or batch.epoch == device.epoch:
        raise RestoreRefused(device=device.name, what="this installation is, or was, in use beside the one copied.")
    if device.acknowledged_number:
        raise RestoreRefused(device=device.name, what="the server has records of the new life of the device already.")


def store(alias: str, device: LocalDevice, content: bytes) -> None:
    """The batch as it was sealed. No captured row of this database is in it: its range of ids is empty."""
    envelope = decode(content)
    header = read_header(envelope.header, lines=len(envelope.lines))
    OutgoingBatch.objects.using(alias).create(
        device=device,
        epoch=header.epoch,
        number=header.number,
        hash=envelope.hash,
        previous_hash=header.previous,
        first_sequence=header.first,
        lines=header.count,
        units=header.units,
        first_id=0,
        last_id=0,
        content=content,
        size=len(content),
    )
