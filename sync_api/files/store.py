"""The content store: bytes known by their SHA-256, kept once, checked when they come and when they are read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

from django.db import OperationalError
from django.db.models import QuerySet
from django.utils import timezone

from sync_api.conf import limit
from sync_api.exceptions import ContentDamaged, ContentMismatch, ContentMissing, FileTooLarge
from sync_api.failpoints import failpoint
from sync_api.files.fields import in_parts
from sync_api.files.places import new_part, place_of, room_errors
from sync_api.models import Content
from sync_api.transactions import immediate

ROW_TRIES_MAX = 20
"""How often a row is made again that clean-ups delete in the same moment."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What bytes are: their hashes and their size."""

    sha256: str
    size: int
    md5: str


class Digest:
    """Counts and hashes bytes as they pass."""

    def __init__(self) -> None:
        self.sha256, self.md5, self.size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0

    def feed(self, chunk: bytes) -> None:
        self.sha256.update(chunk)
        self.md5.update(chunk)
        self.size += len(chunk)

    @property
    def kept(self) -> Kept:
        return Kept(self.sha256.hexdigest(), self.size, self.md5.hexdigest())


class ContentStore:
    """The contents of one installation. Nothing is ever found here under a hash that it did not have when it came."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.place = place_of(alias)

    def take(
        self, chunks: Iterable[bytes], *, sha256: str | None = None, md5: str | None = None, size: int | None = None
    ) -> Kept:
        """Keep these bytes; with `sha256`, `md5` or `size` only if they are those. The same again changes nothing.

        Opens its own transaction, or joins yours: rolled back, the bytes stay on the disk until `clean_files`.
        ContentMismatch, FileTooLarge, FilesDiskFull: nothing is kept.
        """
        with self.receive(chunks, sha256=sha256, md5=md5, size=size) as (path, kept):
            self.keep(path, kept)
        return kept

    @contextmanager
    def receive(
        self, chunks: Iterable[bytes], *, sha256: str | None = None, md5: str | None = None, size: int | None = None
    ) -> Iterator[tuple[Path, Kept]]:
        """These bytes, checked, in a part file, for `keep` in the transaction of the row that names them: no clean-up
        comes between the two. The part is gone afterwards. Raises what `take` raises.
        """
        size_max = int(limit("SYNC_FILE_BYTES_MAX")) if size is None else size
        with new_part(self.alias, size) as (path, file):
            digest = Digest()
            for chunk in chunks:
                digest.feed(chunk)
                if digest.size > size_max:
                    raise too_long(digest.size, size)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
            kept = digest.kept
            check(kept, sha256=sha256, md5=md5, size=size)
            yield path, kept

    def take_part(self, path: Path, *, sha256: str, size: int) -> Kept:
        """Keep a whole part file, which is gone afterwards. Opens its own transaction. ContentMismatch leaves it."""
        digest = Digest()
        with path.open("rb") as file:
            for chunk in chunks_of(file):
                digest.feed(chunk)
        check(digest.kept, sha256=sha256, size=size)
        self.keep(path, digest.kept)
        return digest.kept

    def keep(self, path: Path, kept: Kept) -> None:
        """Put checked bytes in their place, under the lock of their row: a clean-up at the same moment waits.

        The row says that they are here only once they are, through a power cut too. Opens its own transaction.
        """
        now = timezone.now()
        with immediate(self.alias):
            row = self.locked_row(kept)
            if row.held_at is None or row.damaged_at is not None or not self.place.has(kept.sha256):
                self.place.put(path, kept.sha256)
                row.held_at, row.damaged_at = row.held_at or now, None
            row.touched_at, row.md5, row.size = now, kept.md5, kept.size
            row.save(using=self.alias)
            failpoint("files.before_commit")
        failpoint("files.after_commit")

    def locked_row(self, kept: Kept) -> Content:
        """The row of this content, new or as it is, locked. Call inside a transaction."""
        contents = Content.objects.using(self.alias)
        for _ in range(ROW_TRIES_MAX):
            contents.bulk_create([Content(sha256=kept.sha256, size=kept.size)], ignore_conflicts=True)
            row = contents.select_for_update().filter(pk=kept.sha256).first()
            if row is not None:
                return row  # otherwise a clean-up had it locked, and deleted it
        raise OperationalError("The row of a content was deleted each time it was made.")

    def holds(self, sha256: str) -> bool:
        return not self.lacking({sha256})

    def lacking(self, wanted: Set[str]) -> set[str]:
        """Those of these hashes whose bytes are not here."""
        return set(wanted) - set(held(self.alias).filter(pk__in=wanted).values_list("pk", flat=True))

    def touch(self, wanted: Set[str]) -> None:
        """Keep `clean_files` from these for another while: somebody is about to be told that they are here."""
        now = timezone.now()
        before = now - timedelta(hours=float(limit("SYNC_FILES_GRACE_HOURS")) / 2)
        for part in in_parts(wanted):
            Content.objects.using(self.alias).filter(pk__in=part, touched_at__lt=before).update(touched_at=now)

    def by_md5(self, md5: str, size: int | None = None) -> str | None:
        """The hash of a content that is here, for wires that know it by MD5 only; None too where two have it."""
        found = held(self.alias).filter(md5=md5) if md5 else held(self.alias).none()
        if size is not None:
            found = found.filter(size=size)
        hashes = list(found.values_list("pk", flat=True)[:2])
        return hashes[0] if len(hashes) == 1 else None

    def open(self, sha256: str) -> IO[bytes]:
        """The bytes as a file, unchecked: for ranges. ContentMissing."""
        if not self.holds(sha256):
            raise ContentMissing(sha256=sha256)
        try:
            return self.place.open(sha256)
        except FileNotFoundError as error:
            self.mark_damaged(sha256)
            raise ContentMissing(sha256=sha256) from error

    def read(self, sha256: str) -> Iterator[bytes]:
        """All of the bytes; the last of them only when the whole was found right. ContentMissing, ContentDamaged."""
        with self.open(sha256) as file:
            digest = hashlib.sha256()
            before = b""
            for chunk in chunks_of(file):
                if before:
                    yield before
                digest.update(chunk)
                before = chunk
            if digest.hexdigest() != sha256:
                self.mark_damaged(sha256)
                raise ContentDamaged(sha256=sha256)
            if before:
                yield before

    def verify(self, sha256: str) -> None:
        """Read all of the bytes. ContentMissing, ContentDamaged."""
        for _ in self.read(sha256):
            pass

    def open_verified(self, sha256: str) -> IO[bytes]:
        """The bytes as a file, from the beginning, all of them read and found right before. What was found damaged is
        read again, and counts as here if it was restored since. ContentMissing, ContentDamaged."""
        row = Content.objects.using(self.alias).filter(pk=sha256).exclude(held_at=None).first()
        if row is None:
            raise ContentMissing(sha256=sha256)
        try:
            file = self.place.open(sha256)
        except FileNotFoundError as error:
            self.mark_damaged(sha256)
            raise ContentMissing(sha256=sha256) from error
        try:
            digest = hashlib.sha256()
            for chunk in chunks_of(file):
                digest.update(chunk)
            if digest.hexdigest() != sha256:
                self.mark_damaged(sha256)
                raise ContentDamaged(sha256=sha256)
        except BaseException:
            file.close()
            raise
        if row.damaged_at is not None:
            Content.objects.using(self.alias).filter(pk=sha256).update(damaged_at=None)
        file.seek(0)
        return file

    def mark_damaged(self, sha256: str) -> None:
        """From now on the bytes count as not here, and are asked for again."""
        Content.objects.using(self.alias).filter(pk=sha256, damaged_at=None).update(damaged_at=timezone.now())


def held(alias: str) -> QuerySet[Content]:
    """The contents whose bytes are here."""
    return Content.objects.using(alias).filter(held_at__isnull=False, damaged_at=None)


def chunks_of(file: IO[bytes]) -> Iterator[bytes]:
    size = int(limit("SYNC_FILE_CHUNK_BYTES"))
    with room_errors():
        while chunk := file.read(size):
            yield chunk


def check(kept: Kept, *, sha256: str | None, size: int | None, md5: str | None = None) -> None:
    if size is not None and kept.size != size:
        raise ContentMismatch(what=f"they are {kept.size} bytes, and {size} were declared")
    if sha256 is not None and kept.sha256 != sha256:
        raise ContentMismatch(what="their SHA-256 is another one")
    if md5 is not None and kept.md5 != md5:
        raise ContentMismatch(what="their MD5 is another one")


def too_long(found: int, declared: int | None) -> ContentMismatch | FileTooLarge:
    if declared is None:
        return FileTooLarge(size=found, size_max=int(limit("SYNC_FILE_BYTES_MAX")))
    return ContentMismatch(what=f"they are more than the {declared} bytes that were declared")
