"""Keeps a copy of sealed batches that no server's verified backup contains yet, on a stick or a second disk.

The copy is made of bundles: a server imports them as any other, and a new laptop of the same name takes them back as
its own earlier batches. What is on the stick is found by reading it, so that sticks may be swapped.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from django.db import connections
from django.db.models import Q
from django.utils import timezone

from sync_api.bundles.export import SUFFIX, seal_own, write_bundle
from sync_api.bundles.manifest import Listed
from sync_api.bundles.reading import opened
from sync_api.bundles.sources import Source, stored_sources
from sync_api.conf import alias_settings, key_directory, limit
from sync_api.exceptions import BundleNotWritten, NoLocalDevice, SameDisk, SyncError
from sync_api.models import LocalDevice, OutgoingBatch

Place = tuple[str, int, str]
"""Epoch, number and hash of one batch of this device."""


@dataclass(slots=True)
class BackupReport:
    """The state of the copy: batches not durable yet, those of them written now, and files removed as needless."""

    device: str
    folder: str
    unsecured: int
    written: int = 0
    removed: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True)
class Copy:
    """One readable file of the copy and the batches in it."""

    path: Path
    places: frozenset[Place]


Checked = dict[tuple[str, int, int], Copy]
"""Files that were read whole, by path, size and time of change: a watch need not read them again."""


def backup_unsent(
    alias: str, folder: str | Path, *, same_disk: bool = False, checked: Checked | None = None
) -> BackupReport:
    """Seal what is pending and bring the copy in `folder` up to date.

    A new file is whole before an old one goes; files that cannot be read are written anew beside and left alone.
    Opens a transaction per sealed batch. SameDisk, BundleNotWritten, NotEnrolled, CaptureBroken, BaselineMissing.
    """
    root = Path(folder)
    if not root.is_dir():
        raise BundleNotWritten(folder=str(folder), what="it is not there")
    if not same_disk and on_same_disk(alias, root):
        raise SameDisk(folder=str(folder))
    seal_own(alias)
    device = local_device(alias)
    unsecured = {place_of(source): source for source in unsecured_batches(alias, device)}
    report = BackupReport(device.name, str(folder), len(unsecured))
    copies = copies_in(root, device.name, {} if checked is None else checked)
    kept = {place for copy in copies for place in copy.places}
    missing = [source for place, source in unsecured.items() if place not in kept]
    if missing and len(copies) >= int(limit("SYNC_BACKUP_FILES_MAX")):
        missing = list(unsecured.values())
    if missing:
        written = write_bundle(alias, root, missing, devices=[device.name], name=naming(device.name))
        report.written = written.batches
        copies += [read_copy(root / one.name) for one in written.files]
    report.removed = remove_needless(copies, set(unsecured))
    report.files = len(copies) - report.removed
    return report


def local_device(alias: str) -> LocalDevice:
    device = LocalDevice.objects.using(alias).filter(name=alias_settings(alias).device).first()
    if device is None:
        raise NoLocalDevice(alias=alias)
    return device


def unsecured_batches(alias: str, device: LocalDevice) -> list[Source]:
    """This device's batches that no durable mark covers, in the order of sealing."""
    covered = Q(receipts__has_key="durable") | Q(epoch=device.epoch, number__lte=device.durable_number)
    batches = OutgoingBatch.objects.using(alias).filter(device=device).exclude(covered)
    return stored_sources(batches)


def place_of(batch: Source | Listed) -> Place:
    return batch.epoch, batch.number, batch.hash


def naming(device: str) -> Callable[[int, int], str]:
    stamp = f"{timezone.now():%Y%m%dT%H%M%S%fZ}"
    return lambda piece, pieces: f"unsent-{device}-{stamp}-{piece:03}{SUFFIX}"


def copies_in(folder: Path, device: str, checked: Checked) -> list[Copy]:
    """The whole, readable files of this device's copy, oldest first. A damaged one counts for nothing."""
    name = re.compile(rf"unsent-{re.escape(device)}-\d{{8}}T\d{{12}}Z-\d{{3,}}{re.escape(SUFFIX)}")
    found = []
    for path in sorted(folder.iterdir()):
        if name.fullmatch(path.name):
            with suppress(SyncError, OSError):
                facts = path.stat()
                key = (str(path), facts.st_size, facts.st_mtime_ns)
                if key not in checked:
                    checked[key] = read_copy(path)
                found.append(checked[key])
    return found


def read_copy(path: Path) -> Copy:
    with opened(path) as bundle:
        return Copy(path, frozenset(map(place_of, bundle.manifest.batches)))


def remove_needless(copies: list[Copy], unsecured: set[Place]) -> int:
    """Remove files of which every batch is durable, or in a newer file as well; how many."""
    elsewhere: set[Place] = set()
    removed = 0
    for copy in reversed(copies):
        needed = (copy.places & unsecured) - elsewhere
        elsewhere |= copy.places
        if not needed:
            with suppress(OSError):
                copy.path.unlink()
                removed += 1
    return removed


def on_same_disk(alias: str, folder: Path) -> bool:
    """Whether the folder lies on the disk of the database, or, for one on a server, of the keys."""
    connection = connections[alias]
    own = Path(str(connection.settings_dict["NAME"])) if connection.vendor == "sqlite" else key_directory()
    try:
        return os.stat(folder).st_dev == os.stat(own).st_dev
    except OSError:
        return False


def watch_backup(
    alias: str,
    folder: str | Path,
    tell: Callable[[BackupReport | SyncError], None],
    *,
    same_disk: bool = False,
    again: Callable[[], bool] = lambda: True,
) -> None:
    """Bring the copy up to date whenever the folder is there, until `again` says no or the process is interrupted.

    A trouble is told once, until another one or a success comes.
    """
    told = ""
    checked: Checked = {}
    while True:
        try:
            if Path(folder).is_dir():
                report = backup_unsent(alias, folder, same_disk=same_disk, checked=checked)
                if report.written or report.removed:
                    tell(report)
                told = ""
        except SyncError as error:
            if str(error) != told:
                tell(error)
            told = str(error)
        if not again():
            return
        time.sleep(float(limit("SYNC_BUNDLE_WATCH_SECONDS")))
