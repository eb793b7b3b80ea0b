"""Writes bundles: the batches' very bytes, what is known about their devices, and a signed manifest."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from django.utils import timezone

from sync_api.bundles.archive import END, ArchiveWriter, entry_overhead
from sync_api.bundles.confirmation import confirmation_of
from sync_api.bundles.contents import ContentSource, content_sources
from sync_api.bundles.manifest import MANIFEST, STATEMENTS, Listed, batch_name, content_name, signed_manifest
from sync_api.bundles.sources import Source, sources
from sync_api.bundles.writing import write_whole
from sync_api.conf import alias_settings, limit
from sync_api.exceptions import (
    BatchGone,
    ContentDamaged,
    ContentMissing,
    NoLocalDevice,
    NotEnrolled,
    PieceTooSmall,
    SyncError,
)
from sync_api.failpoints import failpoint
from sync_api.fleet import keep_own_heartbeat
from sync_api.models import Bundle, LocalDevice
from sync_api.sealing import seal
from sync_api.trust import own_certificate, statements_for
from sync_api.wire.keys import device_keys

SUFFIX = ".zip"


@dataclass(frozen=True, slots=True)
class Written:
    """One file that was written. `name` is without its folder."""

    name: str
    piece: int
    batches: int
    statements: int
    size: int
    sha256: str
    contents: int = 0


@dataclass(slots=True)
class ExportReport:
    """What one export wrote. Nothing is written when neither a batch nor a statement is there."""

    exporter: str
    bundle: str
    folder: str
    files: list[Written] = field(default_factory=list)
    contents_left: list[str] = field(default_factory=list)
    """Bytes of files that fit in no piece, or are damaged here, by their hash."""

    @property
    def contents(self) -> int:
        return sum(one.contents for one in self.files)

    @property
    def batches(self) -> int:
        return sum(one.batches for one in self.files)

    @property
    def statements(self) -> int:
        return self.files[0].statements if self.files else 0


@dataclass(frozen=True, slots=True)
class Riding:
    """The statements that ride in every piece."""

    count: int
    content: bytes

    @property
    def fingerprint(self) -> dict[str, Any]:
        return {"size": len(self.content), "sha256": hashlib.sha256(self.content).hexdigest()}


def export_bundle(
    alias: str,
    folder: str | Path,
    *,
    piece_bytes: int | None = None,
    devices: Sequence[str] = (),
    everything: bool = False,
    statements_only: bool = False,
    server: str = "",
) -> ExportReport:
    """Seal what is pending, and write what the next server does not hold yet as files of at most `piece_bytes` each.

    Marks nothing as delivered: that is for receipts. Each file appears whole or not at all, and can be imported by
    itself; when one fails, those before it stay good. Opens a transaction per sealed batch and one per history row.
    CaptureBroken, BaselineMissing, NotEnrolled, PieceTooSmall, BundleNotWritten.
    """
    if not statements_only:
        seal_own(alias)
    found = [] if statements_only else sources(alias, devices=devices, everything=everything, server=server)
    contents = [] if statements_only else content_sources(alias, found, devices=devices, everything=everything)
    if not found and not contents and not statements_only and alias_settings(alias).role == "client":
        return ExportReport(alias_settings(alias).device, "", str(folder))
    return write_bundle(alias, Path(folder), found, piece_bytes=piece_bytes, devices=devices, contents=contents)


def seal_own(alias: str) -> None:
    """Seal what is pending here, if this installation is a device of a server. CaptureBroken, BaselineMissing;
    NotEnrolled for a laptop without a certificate, whose bundle nobody could trust."""
    from sync_api.capture.verify import require_whole_capture

    own = alias_settings(alias)
    device = LocalDevice.objects.using(alias).filter(name=own.device).first()
    if device is not None and device.certificate:
        require_whole_capture(alias)
        seal(alias)
    elif own.role == "client":
        raise NotEnrolled(device=own.device) if device is not None else NoLocalDevice(alias=alias)


def write_bundle(
    alias: str,
    folder: Path,
    found: Sequence[Source],
    *,
    piece_bytes: int | None = None,
    devices: Iterable[str] = (),
    name: Callable[[int, int], str] | None = None,
    contents: Sequence[ContentSource] = (),
) -> ExportReport:
    """Write these batches and then the bytes of these files, with the statements about the batches' devices (about
    all, when none are named). A file that fits in no piece, or is damaged here, is left and told."""
    exporter = alias_settings(alias).device
    maker = Maker(alias, exporter, own_certificate(alias), secrets.token_hex(16))
    report = ExportReport(exporter, maker.bundle, str(folder))
    if found:
        keep_own_heartbeat(alias)
    statements = statements_for(alias, devices=list(devices) or None)
    if not found and not statements and not contents:
        return report
    riding = Riding(len(statements), orjson.dumps(statements, option=orjson.OPT_SORT_KEYS))
    listed = [(source, maker.listed(source)) for source in found]
    room = maker.room(riding, piece_bytes)
    pieces = in_pieces(listed, room)
    loads, too_large = with_contents(pieces, readable(alias, contents, report.contents_left), room)
    report.contents_left += too_large
    naming = name or maker.file_name
    for piece, load in enumerate(loads, 1):
        file_name = naming(piece, len(loads))
        facts = {"piece": piece, "pieces": len(loads), "statements": riding.fingerprint}
        try:
            written = maker.write(folder, file_name, facts, riding, load)
        except SyncError as error:
            maker.remember_failure(file_name, facts, error)
            raise
        maker.remember(written, facts)
        report.files.append(written)
    return report


def in_pieces(listed: Sequence[tuple[Source, Listed]], room: int) -> list[list[tuple[Source, Listed]]]:
    """Cut into pieces that each fit the room, in order; one at least. PieceTooSmall names a batch that fits none."""
    pieces: list[list[tuple[Source, Listed]]] = [[]]
    left, files_max = room, int(limit("SYNC_BUNDLE_FILES_MAX"))
    for source, batch in listed:
        needed = room_of(batch)
        if needed > room:
            raise PieceTooSmall(device=batch.device, number=batch.number, size=needed, size_max=room)
        if needed > left or len(pieces[-1]) >= files_max:
            pieces.append([])
            left = room
        pieces[-1].append((source, batch))
        left -= needed
    return pieces


@dataclass(slots=True)
class Load:
    """What one piece carries."""

    batches: list[tuple[Source, Listed]]
    contents: list[ContentSource] = field(default_factory=list)

    @property
    def needed(self) -> int:
        return sum(room_of(batch) for _, batch in self.batches) + sum(map(room_of_content, self.contents))

    @property
    def entries(self) -> int:
        return len(self.batches) + len(self.contents)


def with_contents(
    pieces: list[list[tuple[Source, Listed]]], contents: Sequence[ContentSource], room: int
) -> tuple[list[Load], list[str]]:
    """The pieces with the bytes of files behind the batches, in new pieces where there is no room; and what fits in
    none."""
    loads = [Load(batches) for batches in pieces]
    left: list[str] = []
    needed, files_max = loads[-1].needed, int(limit("SYNC_BUNDLE_FILES_MAX"))
    for one in contents:
        own = room_of_content(one)
        if own > room:
            left.append(one.sha256)
            continue
        if needed + own > room or loads[-1].entries >= files_max:
            loads.append(Load([]))
            needed = 0
        loads[-1].contents.append(one)
        needed += own
    return loads, left


def readable(alias: str, contents: Sequence[ContentSource], left: list[str]) -> list[ContentSource]:
    """Those that are whole here, with their checksums for the archive; the others are added to `left`."""
    found = []
    for one in contents:
        try:
            found.append(one.summed(alias))
        except (ContentDamaged, ContentMissing):
            left.append(one.sha256)
    return found


def room_of_content(one: ContentSource) -> int:
    return one.size + entry_overhead(content_name(1)) + len(orjson.dumps(one.listed.facts)) + 1


def size_of(manifest: bytes, riding: Riding) -> int:
    """What a piece without batches takes."""
    overhead = entry_overhead(MANIFEST) + entry_overhead(STATEMENTS) + END.size
    return len(manifest) + len(riding.content) + overhead


def room_of(batch: Listed) -> int:
    """What a batch takes in a piece: its bytes, its entry, and its place in the manifest with a comma."""
    return batch.size + entry_overhead(batch_name(1)) + len(orjson.dumps(batch.facts)) + 1


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes a bundle, and as what."""

    alias: str
    exporter: str
    certificate: dict[str, Any]
    bundle: str

    def listed(self, source: Source) -> Listed:
        content = source.content(self.alias)
        sha256 = hashlib.sha256(content).hexdigest()
        return Listed(source.device, source.epoch, source.number, source.hash, len(content), sha256)

    def manifest(
        self, facts: dict[str, Any], batches: Sequence[Listed], contents: Sequence[ContentSource] = ()
    ) -> bytes:
        whole = {
            "bundle": self.bundle,
            "exporter": self.exporter,
            "certificate": self.certificate,
            "made_at": timezone.now().isoformat(timespec="microseconds"),
            **facts,
        }
        return signed_manifest(whole, batches, device_keys(self.exporter), [one.listed for one in contents])

    def room(self, riding: Riding, piece_bytes: int | None) -> int:
        """What a piece has for batches, when the largest possible rest is taken off."""
        size_max = int(limit("SYNC_BUNDLE_BYTES_MAX"))
        size = min(piece_bytes or size_max, size_max)
        largest = {"piece": 99_999, "pieces": 99_999, "statements": riding.fingerprint}
        rest = size_of(self.manifest(largest, []), riding) + len(',"files":[]')
        if rest > size:
            raise PieceTooSmall(device=self.exporter, number=0, size=rest, size_max=size)
        return size - rest

    def file_name(self, piece: int, pieces: int) -> str:
        part = f"-{piece}of{pieces}" if pieces > 1 else ""
        return f"{self.exporter}-{timezone.now():%Y%m%dT%H%M%SZ}-{self.bundle[:8]}{part}{SUFFIX}"

    def write(
        self,
        folder: Path,
        name: str,
        facts: dict[str, Any],
        riding: Riding,
        load: Load,
    ) -> Written:
        batches, contents = load.batches, load.contents
        manifest = self.manifest(facts, [batch for _, batch in batches], contents)
        digest = hashlib.sha256()
        size = size_of(manifest, riding) + sum(batch.size + entry_overhead(batch_name(1)) for _, batch in batches)
        size += sum(one.size + entry_overhead(content_name(1)) for one in contents)

        def fill(file: BinaryIO) -> None:
            archive = ArchiveWriter(file, digest.update)
            archive.add(MANIFEST, manifest)
            archive.add(STATEMENTS, riding.content)
            for place, (source, batch) in enumerate(batches, 1):
                content = source.content(self.alias)
                if hashlib.sha256(content).hexdigest() != batch.sha256:
                    raise BatchGone(device=batch.device, number=batch.number)
                archive.add(batch_name(place), content)
            for place, one in enumerate(contents, 1):
                archive.add_parts(content_name(place), one.size, one.crc, one.parts(self.alias))
            archive.finish()
            failpoint("export.before_rename")

        write_whole(folder, name, size, fill)
        return Written(name, facts["piece"], len(batches), riding.count, size, digest.hexdigest(), len(contents))

    def remember(self, written: Written, facts: dict[str, Any]) -> None:
        """The file in the history, with the code that will confirm it."""
        self.history(
            facts,
            name=written.name,
            sha256=written.sha256,
            size=written.size,
            batches=written.batches,
            statements=written.statements,
            state=Bundle.State.DONE,
            confirmation=confirmation_of(written.sha256),
        )

    def remember_failure(self, name: str, facts: dict[str, Any], error: SyncError) -> None:
        self.history(facts, name=name, state=Bundle.State.FAILED, code=error.code, text=str(error))

    def history(self, facts: dict[str, Any], **more: Any) -> None:
        Bundle.objects.using(self.alias).create(
            direction=Bundle.Direction.EXPORTED,
            bundle_id=self.bundle,
            exporter=self.exporter,
            piece=facts["piece"],
            pieces=facts["pieces"],
            **more,
        )
