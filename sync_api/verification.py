"""Recomputes what batches claim: every hash, every link of the chain, every signature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sync_api.exceptions import SyncError
from sync_api.models import DeviceCredential, IncomingBatch, IncomingEpoch, LocalDevice, OutgoingBatch
from sync_api.wire.format import decode
from sync_api.wire.header import Header, read_header


@dataclass(slots=True)
class ChainReport:
    """How many batches were checked on each side, and one sentence per problem."""

    outgoing: int
    incoming: int
    problems: list[str]


@dataclass(slots=True)
class Link:
    """Where one chain stands while it is walked."""

    number: int = 0
    hash: str = ""
    sequence: int = 0


def verify_chain(alias: str) -> ChainReport:
    """Check all stored batches of a database, as a device and as a server. Reads only; one batch in memory."""
    report = ChainReport(0, 0, [])
    for device in LocalDevice.objects.using(alias).order_by("name"):
        _verify_outgoing(alias, device, report)
    for epoch in IncomingEpoch.objects.using(alias).select_related("device").order_by("device__name", "ordinal"):
        _verify_incoming(alias, epoch, report)
    return report


def _verify_outgoing(alias: str, device: LocalDevice, report: ChainReport) -> None:
    links: dict[str, Link] = {}
    batches = OutgoingBatch.objects.using(alias).filter(device=device).order_by("id")
    for batch in batches.iterator(chunk_size=1):
        report.outgoing += 1
        where = f"Batch {batch.number} of '{device.name}' (made here)"
        keys = None  # the certificate in the header names the key
        link = links.setdefault(batch.epoch, Link())
        report.problems += _problems(bytes(batch.content), batch.hash, link, device.name, keys, where)
    link = links.get(device.epoch, Link())
    if (device.head_number, device.head_hash) != (link.number, link.hash):
        report.problems.append(f"The chain of '{device.name}' ends at batch {link.number}, not {device.head_number}.")


def _verify_incoming(alias: str, epoch: IncomingEpoch, report: ChainReport) -> None:
    name = epoch.device.name
    keys = set(DeviceCredential.objects.using(alias).filter(device=epoch.device).values_list("public_key", flat=True))
    link = Link()
    states = (IncomingBatch.State.HELD, IncomingBatch.State.CONSUMED)
    batches = IncomingBatch.objects.using(alias).filter(epoch=epoch, state__in=states).order_by("number")
    for batch in batches.iterator(chunk_size=1):
        report.incoming += 1
        where = f"Batch {batch.number} of '{name}', epoch {epoch.ordinal} (received)"
        report.problems += _problems(bytes(batch.content), batch.hash, link, name, keys, where)
        if batch.transactions.count() != batch.lines:
            report.problems.append(f"{where} has another number of transactions than lines.")
    if (epoch.head_number, epoch.head_hash) != (link.number, link.hash):
        report.problems.append(f"The chain of '{name}' ends at batch {link.number}, not {epoch.head_number}.")


def _problems(content: bytes, kept: str, link: Link, device: str, keys: set[str] | None, where: str) -> Iterator[str]:
    """What is wrong with one batch, in its place in the chain; moves the link on."""
    try:
        envelope = decode(content)
        header = read_header(envelope.header, lines=len(envelope.lines))
    except SyncError as error:
        yield f"{where}: {error}"
        return
    public_key = str(header.certificate.get("public_key"))
    if envelope.hash != kept:
        yield f"{where}: its content has another hash than was kept."
    if not envelope.is_signed_by(public_key) or (keys is not None and public_key not in keys):
        yield f"{where}: its signature is not by a key of the device."
    if header.device != device:
        yield f"{where}: it is a batch of '{header.device}'."
    yield from _link_problems(header, link, where)
    link.number, link.hash = header.number, envelope.hash
    link.sequence = header.first + header.count - 1


def _link_problems(header: Header, link: Link, where: str) -> Iterator[str]:
    if header.number != link.number + 1:
        yield f"{where}: it follows batch {link.number}."
    if header.previous != link.hash:
        yield f"{where}: it names another batch before it."
    if header.first != link.sequence + 1:
        yield f"{where}: its lines do not continue those before."
