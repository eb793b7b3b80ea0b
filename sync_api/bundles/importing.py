"""Takes a bundle in: first all of it is checked, then statements and batches go through the doors they always use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sync_api.bundles.confirmation import confirmation_of
from sync_api.bundles.manifest import Listed, Manifest
from sync_api.bundles.reading import Opened, opened
from sync_api.conf import alias_settings, limit
from sync_api.enrolment.adoption import adopt
from sync_api.exceptions import BundleIncomplete, BundleUntrusted, CertificateInvalid, SyncError
from sync_api.failpoints import failpoint
from sync_api.files.store import ContentStore
from sync_api.files.uploads import check_all_room, declared_sizes
from sync_api.inbox import accept
from sync_api.models import Bundle
from sync_api.relay import carry
from sync_api.transactions import immediate
from sync_api.trust import check_issued, take_statements

VIA = "bundle"
WAITS = "early_limit"
"""The refusal that another file cures: too much already waits behind a gap."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A batch that was not stored, and why; those after it in its chain were not tried."""

    device: str
    number: int
    code: str
    text: str


@dataclass(slots=True)
class ImportReport:
    """What became of one file. `left` counts batches on a laptop, which takes statements alone."""

    name: str
    exporter: str
    bundle: str
    piece: int
    pieces: int
    confirmation: str
    stored: int = 0
    known: int = 0
    early: int = 0
    left: int = 0
    statements: int = 0
    statements_refused: int = 0
    refused: list[Refused] = field(default_factory=list)
    contents: int = 0
    contents_known: int = 0
    contents_undeclared: int = 0

    @property
    def waits(self) -> bool:
        """Whether what was refused only waits for another file."""
        return bool(self.refused) and all(one.code == WAITS for one in self.refused)

    @property
    def facts(self) -> dict[str, Any]:
        return asdict(self)


def import_bundle(alias: str, path: str | Path, *, name: str = "") -> ImportReport:
    """Check the whole file, then store its statements and batches, each exactly once however often it comes.

    On a server batches go to the inbox, on a relay they are carried; a laptop takes statements alone. Opens its own
    transactions, one per batch; cut anywhere, it can be run again. BundleUnreadable, BundleDamaged, BundleUntrusted:
    nothing is stored. Batches that are refused one by one are listed in the report, and the others are stored.
    Either way the history says so.
    """
    path = Path(path)
    with failures_remembered(alias, name or path.name), opened(path) as bundle:
        check_trust(alias, bundle.manifest)
        report = take(alias, bundle)
    remember(alias, name or path.name, bundle, report)
    return report


def require_complete(report: ImportReport) -> None:
    """BundleIncomplete when batches were refused."""
    if report.refused:
        raise incomplete(report)


def incomplete(report: ImportReport) -> BundleIncomplete:
    stored = report.stored + report.known + report.early
    return BundleIncomplete(name=report.name, stored=stored, refused=[one.text for one in report.refused])


def check_trust(alias: str, manifest: Manifest) -> None:
    """A trusted server certified the exporter. Whether it was revoked since is asked of each batch, by its cut-off."""
    try:
        check_issued(alias, manifest.certificate)
    except CertificateInvalid as error:
        raise BundleUntrusted(exporter=manifest.exporter, what=str(error)) from error


def take(alias: str, bundle: Opened) -> ImportReport:
    """Statements first: a revocation counts for the batches that come with it."""
    manifest = bundle.manifest
    report = ImportReport(
        name=bundle.name,
        exporter=manifest.exporter,
        bundle=manifest.bundle,
        piece=manifest.piece,
        pieces=manifest.pieces,
        confirmation=confirmation_of(bundle.sha256),
    )
    take_riding(alias, bundle, report)
    if alias_settings(alias).role not in ("server", "relay"):
        report.left = len(manifest.batches)
        return report
    know_carrier(alias, manifest)
    blocked: set[tuple[str, str]] = set()
    for batch, content in bundle.batches():
        if (batch.device, batch.epoch) in blocked:
            continue
        failpoint("import.before_batch")
        try:
            count(report, store(alias, content, manifest))
        except SyncError as error:
            blocked.add((batch.device, batch.epoch))
            report.refused.append(refusal(batch, error))
    take_contents(alias, bundle, report)
    return report


def take_contents(alias: str, bundle: Opened, report: ImportReport) -> None:
    """Keep the bytes of files that a record here declares and that are not here yet. FilesDiskFull: what came before
    stays, and the same file can be imported again. Opens its own transactions, one per content."""
    store = ContentStore(alias)
    wanted = {one.sha256: one.size for one in bundle.manifest.files}
    known = declared_sizes(alias, wanted)
    lacking = store.lacking(wanted.keys())
    for listed, parts in bundle.contents():
        if listed.size not in known.get(listed.sha256, set()):
            report.contents_undeclared += 1
        elif listed.sha256 not in lacking:
            report.contents_known += 1
        else:
            failpoint("import.before_content")
            check_all_room(alias, listed.size)
            store.take(parts, sha256=listed.sha256, size=listed.size)
            report.contents += 1


def take_riding(alias: str, bundle: Opened, report: ImportReport) -> None:
    at_once = int(limit("SYNC_STATEMENTS_PER_REQUEST_MAX"))
    for begin in range(0, len(bundle.statements), at_once):
        taken = take_statements(alias, bundle.statements[begin : begin + at_once], via=f"{VIA} {report.exporter}")
        report.statements += taken.new + taken.known
        report.statements_refused += sum(taken.refused.values())


def know_carrier(alias: str, manifest: Manifest) -> None:
    """A relay or another server that brings others' batches is registered here by its certificate, as in a visit.

    Opens its own transaction. DeviceNameTaken."""
    if any(batch.device != manifest.exporter for batch in manifest.batches):
        with immediate(alias):
            adopt(alias, manifest.certificate)


def store(alias: str, content: bytes, manifest: Manifest) -> str:
    """Give one batch to the station that this installation's role has for it; what became of it."""
    role = str(manifest.certificate.get("role", "client"))
    if alias_settings(alias).role == "server":
        return accept(alias, content, handed_over_by=manifest.exporter, is_from_file=True).state
    return carry(alias, content, handed_over_by=manifest.exporter, role=role, via=VIA).state


def count(report: ImportReport, state: str) -> None:
    if state == "duplicate":
        report.known += 1
    elif state == "early":
        report.early += 1
    else:
        report.stored += 1


def refusal(batch: Listed, error: SyncError) -> Refused:
    return Refused(batch.device, batch.number, error.code, f"Batch {batch.number} of '{batch.device}': {error}")


@contextmanager
def failures_remembered(alias: str, name: str) -> Iterator[None]:
    """A file that is refused as a whole leaves a row in the history."""
    try:
        yield
    except SyncError as error:
        Bundle.objects.using(alias).create(
            direction=Bundle.Direction.IMPORTED,
            name=printable(name),
            state=Bundle.State.FAILED,
            code=error.code,
            text=str(error),
        )
        raise


def printable(name: str) -> str:
    """A file's name as any database keeps it."""
    return name.encode("utf-8", "replace").decode().replace("\0", "?")[:200]


def remember(alias: str, name: str, bundle: Opened, report: ImportReport) -> None:
    error = incomplete(report) if report.refused else None
    if report.waits and Bundle.objects.using(alias).filter(sha256=bundle.sha256, code=incomplete(report).code).exists():
        return
    Bundle.objects.using(alias).create(
        direction=Bundle.Direction.IMPORTED,
        name=printable(name),
        bundle_id=report.bundle,
        piece=report.piece,
        pieces=report.pieces,
        exporter=report.exporter,
        sha256=bundle.sha256,
        size=bundle.size,
        batches=len(bundle.manifest.batches),
        statements=len(bundle.statements),
        state=Bundle.State.FAILED if error else Bundle.State.DONE,
        code=error.code if error else "",
        text=str(error) if error else "",
        confirmation="" if error else report.confirmation,
    )
