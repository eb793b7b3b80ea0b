"""Removes the bytes that nothing here needs, and what ended uploads left. Never what a version in the mirror names.

A content is needed while a fact, a stored name or a use names it. Facts of a server's mirror stay for ever (only an
erasure takes one away); a middleman's until their batch was purged and the bytes are at a server; a laptop's own until
its server said that it holds the bytes. What nothing names is kept SYNC_FILES_GRACE_HOURS longer, and goes under the
lock of its row, so that what is told of at the same moment is found to be missing and comes again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from sync_api.conf import alias_settings, limit
from sync_api.exceptions import FileUploadLocked
from sync_api.failpoints import failpoint
from sync_api.files.fields import file_fields, in_parts
from sync_api.files.places import Folder, parts_folder, place_of
from sync_api.files.uploads import done, end, writing
from sync_api.models import (
    CarriedBatch,
    Content,
    ContentUse,
    FileDelivery,
    FileFact,
    FileUpload,
    LocalDevice,
    OutgoingTransaction,
    StoredName,
    TrustedServer,
)
from sync_api.transactions import immediate


@dataclass(slots=True)
class CleanReport:
    """What was removed: contents and their bytes, uploads that nobody continued, parts and strays on the disk, names
    whose bytes need not be kept here, and facts of batches that are not carried any more."""

    contents: int = 0
    bytes: int = 0
    uploads: int = 0
    strays: int = 0
    names: int = 0
    facts: int = 0

    @property
    def facts_for_json(self) -> dict[str, int]:
        return asdict(self)


def clean_files(alias: str, *, dry_run: bool = False) -> CleanReport:
    """Clean up once. Opens its own transactions, short ones; may be killed anywhere and repeated."""
    report = CleanReport()
    before = timezone.now() - timedelta(hours=float(limit("SYNC_FILES_GRACE_HOURS")))
    report.uploads = end_expired(alias, dry_run=dry_run)
    report.names = release_names(alias, before, dry_run=dry_run)
    report.facts = forget_facts(alias, dry_run=dry_run)
    unneeded = list(unneeded_contents(alias).filter(touched_at__lt=before).values_list("pk", "size", "held_at"))
    if dry_run:
        report.contents = sum(1 for _, _, held_at in unneeded if held_at)
        report.bytes = sum(size for _, size, held_at in unneeded if held_at)
        return report
    for part in in_parts(sha256 for sha256, _, _ in unneeded):
        contents, size = remove_contents(alias, part, before=before)
        report.contents += contents
        report.bytes += size
    report.strays = remove_strays(alias, before)
    return report


def unneeded_contents(alias: str) -> QuerySet[Content]:
    """Those that nothing names."""
    contents = Content.objects.using(alias)
    same = {"sha256": OuterRef("pk")}
    return contents.exclude(
        Exists(needing_facts(alias).filter(**same))
        | Exists(StoredName.objects.using(alias).filter(released_at=None, **same))
        | Exists(ContentUse.objects.using(alias).filter(**same))
    )


def needing_facts(alias: str) -> QuerySet[FileFact]:
    """The facts whose bytes are needed here: all, but on a laptop those that its server holds."""
    facts = FileFact.objects.using(alias)
    own = alias_settings(alias)
    if own.role != "client":
        return facts.all()
    there = FileDelivery.objects.using(alias).filter(peer__in=home_of(alias), sha256=OuterRef("sha256"))
    return facts.exclude(Q(device=own.device) & Exists(there))


def home_of(alias: str) -> Any:
    device = LocalDevice.objects.using(alias).filter(name=alias_settings(alias).device)
    return device.exclude(server_name="").values("server_name")


def remove_contents(alias: str, hashes: list[str], *, before: datetime | None = None) -> tuple[int, int]:
    """Remove those of these that nothing names; how many, and their bytes. Opens its own transaction."""
    place = place_of(alias)
    with immediate(alias):
        rows = Content.objects.using(alias).select_for_update().filter(pk__in=hashes).order_by("pk")
        if before is not None:
            rows = rows.filter(touched_at__lt=before)
        locked = {row.pk: row for row in rows}
        gone = list(unneeded_contents(alias).filter(pk__in=locked).values_list("pk", flat=True))
        for sha256 in gone:
            place.remove(sha256)
        failpoint("files.before_clean")
        Content.objects.using(alias).filter(pk__in=gone).delete()
    held = [locked[sha256] for sha256 in gone if locked[sha256].held_at]
    return len(held), sum(row.size for row in held)


def remove_unnamed(alias: str, hashes: Iterable[str]) -> None:
    """Remove those of these contents that nothing names, at once. Opens its own transactions."""
    for part in in_parts(hashes):
        remove_contents(alias, part)


def end_expired(alias: str, *, dry_run: bool) -> int:
    """End the uploads that nobody continued in time, and forget those that ended long ago."""
    now = timezone.now()
    expired = FileUpload.objects.using(alias).filter(state=FileUpload.State.OPEN, expires_at__lte=now)
    if dry_run:
        return expired.count()
    ended = list(expired)
    for upload in ended:
        end(alias, upload, "expired")
    end_held(alias)
    old = now - timedelta(hours=float(limit("SYNC_UPLOAD_HOURS")))
    FileUpload.objects.using(alias).exclude(state=FileUpload.State.OPEN).filter(expires_at__lte=old).delete()
    return len(ended)


def end_held(alias: str) -> None:
    """End the uploads whose content is here by now: another brought it, or a kill came between it and its upload."""
    here = Content.objects.using(alias).filter(pk=OuterRef("sha256")).exclude(held_at=None)
    for upload in FileUpload.objects.using(alias).filter(Exists(here), state=FileUpload.State.OPEN):
        with suppress(FileUploadLocked), writing(alias, upload):
            done(alias, upload)


def release_names(alias: str, before: datetime, *, dry_run: bool) -> int:
    """On a laptop: names whose bytes need not be kept. No record has them now, and the server holds the bytes; or no
    change that is recorded here ever named them."""
    if alias_settings(alias).role != "client":
        return 0
    names = StoredName.objects.using(alias).filter(released_at=None, stored_at__lt=before)
    for label, fields in file_fields().items():
        records: Any = apps.get_model(label)._base_manager.using(alias)
        for field in fields:
            names = names.exclude(name__in=records.exclude(**{field: ""}).exclude(**{field: None}).values(field))
    same = {"sha256": OuterRef("sha256")}
    safe = Q(Exists(FileDelivery.objects.using(alias).filter(peer__in=home_of(alias), **same)))
    if not is_anything_unsealed(alias):
        safe |= Q(~Exists(FileFact.objects.using(alias).filter(**same)))
    names = names.filter(safe)
    return names.count() if dry_run else names.update(released_at=timezone.now())


def is_anything_unsealed(alias: str) -> bool:
    device = LocalDevice.objects.using(alias).filter(name=alias_settings(alias).device).first()
    until = 0 if device is None else device.sealed_until
    rows = OutgoingTransaction.objects.using(alias).filter(batch_number=None)
    return rows.filter(id__gt=until).exists() or rows.exists()


def forget_facts(alias: str, *, dry_run: bool) -> int:
    """On a middleman: facts of batches that were purged, once the bytes are at a server."""
    if alias_settings(alias).role != "relay":
        return 0
    carried = CarriedBatch.objects.using(alias).filter(
        device=OuterRef("device"), epoch=OuterRef("epoch"), number=OuterRef("number")
    )
    servers = TrustedServer.objects.using(alias).values("name")
    there = FileDelivery.objects.using(alias).filter(Q(peer__in=servers) | Q(peer__in=home_of(alias)))
    own = alias_settings(alias).device
    facts = FileFact.objects.using(alias).exclude(device=own).exclude(Exists(carried))
    facts = facts.filter(Exists(there.filter(sha256=OuterRef("sha256"))))
    if dry_run:
        return facts.count()
    keys = list(facts.values_list("pk", flat=True))
    for begin in range(0, len(keys), 500):
        FileFact.objects.using(alias).filter(pk__in=keys[begin : begin + 500]).delete()
    return len(keys)


def remove_strays(alias: str, before: datetime) -> int:
    """What kills left on the disk: parts without an upload, contents without a row."""
    return remove_stray_parts(alias, before) + remove_stray_contents(alias, before)


def remove_stray_parts(alias: str, before: datetime) -> int:
    opened = set(FileUpload.objects.using(alias).filter(state=FileUpload.State.OPEN).values_list("pk", flat=True))
    fetched = time.time() - float(limit("SYNC_UPLOAD_HOURS")) * 3600
    removed = 0
    for path in parts_folder(alias).iterdir():
        with suppress(FileNotFoundError):
            oldest = fetched if path.suffix == ".pull" else before.timestamp()
            if path.name.split(".")[0] not in opened and path.stat().st_mtime < oldest:
                path.unlink()
                removed += path.suffix != ".lock"
    return removed


def remove_stray_contents(alias: str, before: datetime) -> int:
    """Contents in the folder that no row knows: their transaction never committed."""
    place = place_of(alias)
    if not isinstance(place, Folder):
        return 0
    old = [name for name, changed in place.all() if changed < before.timestamp()]
    removed = 0
    for part in in_parts(old):
        known = set(Content.objects.using(alias).filter(pk__in=part).values_list("pk", flat=True))
        for sha256 in set(part) - known:
            with immediate(alias):
                row = Content(sha256=sha256, size=0)
                made = Content.objects.using(alias).bulk_create([row], ignore_conflicts=True)
                locked = Content.objects.using(alias).select_for_update().get(pk=made[0].pk)
                if locked.held_at is None:
                    place.remove(sha256)
                    locked.delete(using=alias)
                    removed += 1
    return removed
