"""Uploads of contents, as tus 1.0 has them: begun for a declared content, continued from any offset, kept when whole.

The offset of an upload is the size of its part file after it was brought to the disk; nothing else remembers it, so
nothing can disagree with it after a kill. One request writes to a part at a time (a lock of the operating system,
which a kill releases); a writer from whom nothing came for SYNC_UPLOAD_SILENT_SECONDS is given up: its connection may
be dead without its knowing. Bytes that arrived before a cut are kept though their chunk's checksum could not be
compared: what counts is the SHA-256 of the whole.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db.models import F, Sum
from django.utils import timezone
from filelock import FileLock, Timeout

from sync_api.conf import alias_settings, limit
from sync_api.exceptions import (
    ChecksumMismatch,
    ChecksumUnusable,
    ContentHeld,
    ContentMismatch,
    FilesDiskFull,
    FileTooLarge,
    FileUploadGone,
    FileUploadLocked,
    FileUploadNotYours,
    FileUploadOffsetDiffers,
    FileUploadsTooMany,
    FileUploadTooLong,
    FileUploadUndeclared,
    FileUploadUnknown,
    NotARelay,
)
from sync_api.failpoints import failpoint
from sync_api.files.fields import in_parts
from sync_api.files.places import check_room, parts_folder, room_errors
from sync_api.files.store import ContentStore, held
from sync_api.models import FileFact, FileUpload
from sync_api.transactions import immediate

CARRIERS = frozenset({"relay", "server"})
ALGORITHMS = ("sha1", "sha256", "md5")
State = FileUpload.State


@dataclass(frozen=True, slots=True)
class Bringer:
    """The installation that brings bytes, by its name and role. A carrier may bring those of any device."""

    name: str
    role: str

    @property
    def is_carrier(self) -> bool:
        return self.role in CARRIERS


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a chunk's bytes must hash to."""

    algorithm: str
    digest: bytes

    @classmethod
    def read(cls, header: str) -> Checksum:
        """From `Upload-Checksum: sha1 BASE64`. ChecksumUnusable."""
        algorithm, _, value = header.partition(" ")
        try:
            digest = base64.b64decode(value.strip(), validate=True)
        except binascii.Error:
            digest = b""
        if algorithm not in ALGORITHMS or len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
            raise ChecksumUnusable(known=", ".join(ALGORITHMS))
        return cls(algorithm, digest)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is lacking here of the contents that were asked for, smallest first, and what nobody declared."""

    missing: list[dict[str, Any]]
    undeclared: list[str]


def declared(alias: str, bringer: Bringer, hashes: list[str]) -> dict[str, int]:
    """Those of these contents that a record here declares, of this device unless it is a carrier, with their size."""
    facts = FileFact.objects.using(alias).filter(sha256__in=hashes)
    if not bringer.is_carrier:
        facts = facts.filter(device=bringer.name)
    return dict(facts.order_by("id").values_list("sha256", "size"))


def declared_sizes(alias: str, hashes: Iterable[str]) -> dict[str, set[int]]:
    """The sizes that records here, of whatever device, declare of these contents."""
    found: dict[str, set[int]] = {}
    for part in in_parts(hashes):
        facts = FileFact.objects.using(alias).filter(sha256__in=part)
        for sha256, size in facts.order_by().values_list("sha256", "size").distinct():
            found.setdefault(sha256, set()).add(size)
    return found


def missing(alias: str, bringer: Bringer, hashes: list[str]) -> Asked:
    """Which of these contents are wanted here, with the uploads of them that this installation has begun."""
    sizes = declared(alias, bringer, hashes)
    ContentStore(alias).touch(sizes.keys())
    lacking = ContentStore(alias).lacking(sizes.keys())
    uploads = FileUpload.objects.using(alias).filter(
        sha256__in=lacking, brought_by=bringer.name, state=State.OPEN, expires_at__gt=timezone.now()
    )
    begun = {upload.sha256: upload for upload in uploads.order_by("began_at")}
    found = [
        {
            "sha256": sha256,
            "size": sizes[sha256],
            "upload": begun[sha256].pk if sha256 in begun else None,
            "offset": part_size(part_of(alias, begun[sha256])) if sha256 in begun else 0,
        }
        for sha256 in lacking
    ]
    found.sort(key=lambda one: (one["size"], one["sha256"]))
    return Asked(found, sorted(set(hashes) - sizes.keys()))


def begin(alias: str, bringer: Bringer, *, sha256: str, size: int) -> FileUpload:
    """Begin an upload. Opens its own transaction.

    NotARelay, FileTooLarge, FileUploadUndeclared, ContentHeld, FileUploadsTooMany, FilesDiskFull: nothing is begun.
    """
    own = alias_settings(alias)
    if own.role not in CARRIERS:
        raise NotARelay(device=own.device, role=own.role)
    size_max = int(limit("SYNC_FILE_BYTES_MAX"))
    if size > size_max:
        raise FileTooLarge(size=size, size_max=size_max)
    facts = FileFact.objects.using(alias).filter(sha256=sha256, size=size)
    if not (facts if bringer.is_carrier else facts.filter(device=bringer.name)).exists():
        raise FileUploadUndeclared
    if ContentStore(alias).holds(sha256):
        raise ContentHeld(sha256=sha256)
    check_all_room(alias, size)
    with immediate(alias):
        uploads = FileUpload.objects.using(alias)
        count_max = int(limit("SYNC_UPLOADS_PER_DEVICE_MAX"))
        if uploads.filter(brought_by=bringer.name, state=State.OPEN).count() >= count_max:
            raise FileUploadsTooMany(count_max=count_max)
        upload = uploads.create(
            id=secrets.token_hex(16), sha256=sha256, size=size, brought_by=bringer.name, expires_at=new_expiry()
        )
    if size == 0:
        with part_of(alias, upload).open("ab"):
            pass
        finish(alias, upload)
    return upload


def check_all_room(alias: str, size: int) -> None:
    """Room on the disk, and on a middleman within what it may carry. FilesDiskFull."""
    check_room(alias, size)
    if alias_settings(alias).role == "relay":
        carried = held(alias).aggregate(size=Sum("size"))["size"] or 0
        size_max = int(limit("SYNC_CARRIED_FILES_BYTES_MAX"))
        if carried + size > size_max:
            what = f"this middleman carries {carried} bytes of files, and SYNC_CARRIED_FILES_BYTES_MAX is {size_max}"
            raise FilesDiskFull(what=what)


def new_expiry() -> datetime:
    return timezone.now() + timedelta(hours=float(limit("SYNC_UPLOAD_HOURS")))


def own_upload(alias: str, bringer: Bringer, upload_id: str) -> FileUpload:
    """FileUploadUnknown, FileUploadNotYours, FileUploadGone."""
    upload = FileUpload.objects.using(alias).filter(pk=upload_id).first()
    if upload is None:
        raise FileUploadUnknown
    if upload.brought_by != bringer.name:
        raise FileUploadNotYours
    if upload.state == State.ENDED:
        raise FileUploadGone(why=ENDED.get(upload.code, "it was ended"))
    if upload.state == State.OPEN and upload.expires_at <= timezone.now():
        raise FileUploadGone(why=ENDED["expired"])
    return upload


ENDED = {
    "expired": "nobody continued it in time",
    "terminated": "it was terminated",
    "content_mismatch": "its bytes were not those that were declared",
}


def offset_of(alias: str, upload: FileUpload) -> int:
    """How many bytes are here, on the disk. A whole part whose upload was killed before its end is ended now."""
    if upload.state == State.DONE:
        return upload.size
    offset = part_size(part_of(alias, upload))
    if offset == upload.size:
        with suppress(FileUploadLocked), writing(alias, upload):
            finish_again(alias, upload)
    return offset


def append(
    alias: str, upload: FileUpload, *, offset: int, length: int, read: Callable[[int], bytes], checksum: Checksum | None
) -> int:
    """Write the `length` bytes that `read` gives behind `offset`; the new offset. Kept is what came, also at a cut.

    FileUploadLocked, FileUploadOffsetDiffers, FileUploadTooLong, FilesDiskFull, ChecksumMismatch (the chunk is thrown
    away), ContentMismatch (it was the last one, and the whole is wrong: the upload has ended).
    """
    with writing(alias, upload) as still_mine:
        upload.refresh_from_db(using=alias)
        path = part_of(alias, upload)
        here = upload.size if upload.state == State.DONE else part_size(path)
        if upload.state == State.ENDED:
            raise FileUploadGone(why=ENDED.get(upload.code, "it was ended"))
        if offset != here:
            raise FileUploadOffsetDiffers(offset=here, sent=offset)
        if offset + length > upload.size:
            raise FileUploadTooLong(size=upload.size)
        if upload.state == State.DONE:
            return here
        check_room(alias, length)
        FileUpload.objects.using(alias).filter(pk=upload.pk).update(expires_at=new_expiry())
        here = write_chunk(path, offset, length, read, checksum, still_mine)
        if here == upload.size:
            failpoint("files.after_part")
            finish(alias, upload)
    return here


def write_chunk(
    path: Path,
    offset: int,
    length: int,
    read: Callable[[int], bytes],
    checksum: Checksum | None,
    still_mine: Callable[[], bool],
) -> int:
    digest = None if checksum is None else hashlib.new(checksum.algorithm, usedforsecurity=False)
    received, at_once = 0, int(limit("SYNC_UPLOAD_READ_BYTES"))
    with room_errors(), open(path, "ab", buffering=0) as file:
        try:
            while received < length and (chunk := read_mine(read, min(at_once, length - received), still_mine)):
                write_all(file, chunk)
                received += len(chunk)
                if digest is not None:
                    digest.update(chunk)
                failpoint("files.after_chunk")
            if (
                checksum is not None
                and digest is not None
                and received == length
                and digest.digest() != checksum.digest
            ):
                file.truncate(offset)
                raise ChecksumMismatch
        finally:
            os.fsync(file.fileno())
    return offset + received


def read_mine(read: Callable[[int], bytes], size: int, still_mine: Callable[[], bool]) -> bytes:
    """The next bytes. FileUploadLocked when they were long in coming and another request was let in meanwhile."""
    asked = time.monotonic()
    chunk = read(size)
    if time.monotonic() - asked > float(limit("SYNC_UPLOAD_SILENT_SECONDS")) / 2 and not still_mine():
        raise FileUploadLocked
    return chunk


def write_all(file: Any, chunk: bytes) -> None:
    """Unbuffered files may take a part of what they are given."""
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


def finish(alias: str, upload: FileUpload) -> None:
    """The part is whole: keep it as the content that was declared. Call while holding the upload's lock.

    ContentMismatch: the part is gone, and the upload has ended.
    """
    path = part_of(alias, upload)
    try:
        ContentStore(alias).take_part(path, sha256=upload.sha256, size=upload.size)
    except ContentMismatch as error:
        end(alias, upload, error.code)
        raise
    done(alias, upload)


def done(alias: str, upload: FileUpload) -> None:
    """The content is here: what the upload left on the disk goes. Call while holding the upload's lock."""
    FileUpload.objects.using(alias).filter(pk=upload.pk).update(state=State.DONE)
    upload.state = State.DONE
    remove_files(alias, upload)


def finish_again(alias: str, upload: FileUpload) -> None:
    """End what a kill left whole. FileUploadGone when its bytes are wrong."""
    upload.refresh_from_db(using=alias)
    if upload.state != State.OPEN:
        return
    try:
        finish(alias, upload)
    except ContentMismatch as error:
        raise FileUploadGone(why=ENDED[error.code]) from error
    except FileNotFoundError:
        return


def terminate(alias: str, upload: FileUpload) -> None:
    """The bringer wants it no more. FileUploadLocked while a request writes to it."""
    with writing(alias, upload):
        end(alias, upload, "terminated")


def end(alias: str, upload: FileUpload, code: str) -> None:
    """The upload ends without its content: its bytes go, its row says why."""
    FileUpload.objects.using(alias).filter(pk=upload.pk, state=State.OPEN).update(state=State.ENDED, code=code)
    remove_files(alias, upload)


def remove_files(alias: str, upload: FileUpload) -> None:
    for path in parts_folder(alias).glob(f"{upload.pk}.*"):
        with suppress(FileNotFoundError):
            path.unlink()


@contextmanager
def writing(alias: str, upload: FileUpload) -> Iterator[Callable[[], bool]]:
    """Be the one writer of this upload; gives a way to ask whether one still is. FileUploadLocked."""
    generation = upload.writer
    lock = FileLock(parts_folder(alias) / f"{upload.pk}.{generation}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        if not is_silent(part_of(alias, upload)):
            raise FileUploadLocked from error
        generation += 1
        rows = FileUpload.objects.using(alias).filter(pk=upload.pk, writer=upload.writer)
        if not rows.update(writer=F("writer") + 1):
            raise FileUploadLocked from error
        lock = FileLock(parts_folder(alias) / f"{upload.pk}.{generation}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise FileUploadLocked from error
    try:
        yield lambda: FileUpload.objects.using(alias).filter(pk=upload.pk, writer=generation).exists()
    finally:
        lock.release()


def is_silent(path: Path) -> bool:
    """Whether nothing was written to the part for so long that its writer may be given up."""
    try:
        return time.time() - path.stat().st_mtime > float(limit("SYNC_UPLOAD_SILENT_SECONDS"))
    except FileNotFoundError:
        return False


def part_of(alias: str, upload: FileUpload) -> Path:
    """The upload's bytes so far. The name is this installation's own; nothing of it comes from outside."""
    return parts_folder(alias) / f"{upload.pk}.part"


def part_size(path: Path) -> int:
    """How many bytes are on the disk, brought there now."""
    try:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
            return file.seek(0, os.SEEK_END)
    except FileNotFoundError:
        return 0
