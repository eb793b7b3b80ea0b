"""Takes another device's sealed batch to carry: the very bytes, in any order, any number of times, with gaps.

What a relay can check alone, it checks before it takes: certificate, signature, header, lines. Whether the batch
fits the chain is for the server to say; a relay that met only some of a device's batches cannot know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Sum

from audit.models import Device
from sync_api import conf
from sync_api.alarms import raise_alarm
from sync_api.erasing.orders import proven_lines, without_ordered
from sync_api.exceptions import BadSignature, CertificateInvalid, RelayFull, WrongDevice
from sync_api.failpoints import failpoint
from sync_api.files.hearing import keep_told
from sync_api.models import CarriedBatch
from sync_api.relay.custody import RECEIVED, note_custody
from sync_api.relay.receipts import receipt_for_run
from sync_api.transactions import immediate
from sync_api.trust import check_cut_off, check_issued
from sync_api.wire.format import Envelope, decode
from sync_api.wire.header import Header, read_header
from sync_api.wire.lines import read_lines

CARRIERS = frozenset({Device.Role.RELAY.value, Device.Role.SERVER.value})


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of a batch. `state` is held or duplicate (held before); `receipt` is this relay's word."""

    state: str
    batch: CarriedBatch
    receipt: dict[str, Any]


def carry(alias: str, content: bytes, *, handed_over_by: str, role: str, via: str) -> Carried:
    """Store a batch to be handed on, once however often it comes. Opens its own transaction.

    `handed_over_by` and `role` are those of the installation that brings it; `via` is push, pull or bundle. Two
    different batches for one number are both kept, with an alarm. Raises SyncErrors and stores nothing:
    MalformedEnvelope, CertificateInvalid, BadSignature, WrongDevice, DeviceRevoked, RelayFull.
    """
    envelope = decode(content)
    header = checked_header(alias, envelope)
    if header.device != handed_over_by and role not in CARRIERS:
        raise WrongDevice(device=header.device, handed_over_by=handed_over_by)
    with immediate(alias):
        device = known_device(alias, header)
        same_number = CarriedBatch.objects.using(alias).defer("content").select_for_update(no_key=True)
        stored = list(same_number.filter(device=header.device, epoch=header.epoch, number=header.number))
        batch = next((batch for batch in stored if batch.hash == envelope.hash), None)
        state = "duplicate"
        if batch is None:
            content, envelope = without_ordered(alias, content, envelope)
            check_cut_off(alias, header.certificate, epoch=header.epoch, number=header.number)
            check_room(alias, len(content))
            batch = store(alias, content, header, envelope, handed_over_by=handed_over_by, via=via)
            state = "held"
            if stored:
                conflict_alarm(alias, device, header)
        receipt = receipt_for_run(alias, batch, first=batch.number)
        failpoint("carry.before_commit")
    failpoint("carry.after_commit")
    return Carried(state, batch, receipt)


def checked_header(alias: str, envelope: Envelope) -> Header:
    """The header of a batch that is whole and signed by the device that its certificate names."""
    header = read_header(envelope.header, lines=len(envelope.lines))
    check_issued(alias, header.certificate)
    if header.certificate["device"] != header.device:
        raise CertificateInvalid(what="it is another device's than the batch's")
    if not envelope.is_signed_by(header.certificate["public_key"]):
        raise BadSignature(device=header.device)
    facts = {"device": header.device, "epoch": header.epoch, "number": header.number, "hash_hex": envelope.hash}
    for _ in read_lines(header, envelope.lines, proven_lines(alias, envelope.lines, **facts)):
        pass
    return header


def known_device(alias: str, header: Header) -> Device:
    """The device as it is known here, by its certificate, with a lock: one batch of a device at a time."""
    devices = Device.objects.using(alias)
    role = header.certificate.get("role", Device.Role.CLIENT)
    facts = {"role": role, "registered_by": f"certificate of {header.certificate['issuer']}"}
    devices.get_or_create(name=header.device, defaults=facts)
    return devices.select_for_update(no_key=True).get(name=header.device)


def check_room(alias: str, size: int) -> None:
    size_max = int(conf.limit("SYNC_CARRIED_BYTES_MAX"))
    carried = CarriedBatch.objects.using(alias).aggregate(size=Sum("size"))["size"] or 0
    if carried + size > size_max:
        raise RelayFull(size=carried, size_max=size_max)


def store(
    alias: str, content: bytes, header: Header, envelope: Envelope, *, handed_over_by: str, via: str
) -> CarriedBatch:
    """The batch's row and the signed statement that it was received. Call inside a transaction."""
    batch = CarriedBatch.objects.using(alias).create(
        device=header.device,
        epoch=header.epoch,
        number=header.number,
        hash=envelope.hash,
        previous_hash=header.previous,
        lines=header.count,
        size=len(content),
        content=content,
        received_from=handed_over_by,
        received_via=via,
    )
    keep_told(alias, header, envelope.lines)
    note_custody(alias, batch, RECEIVED, other=handed_over_by, via=via)
    return batch


def conflict_alarm(alias: str, device: Device, header: Header) -> None:
    raise_alarm(
        alias,
        device,
        "carried_conflict",
        f"Two different batches {header.number} of device '{device.name}' were taken: the device was cloned or "
        "restored. Both are handed on; the server says which one continues the chain.",
        {"epoch": header.epoch, "number": header.number},
    )
