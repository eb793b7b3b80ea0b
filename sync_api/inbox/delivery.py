"""Who brings a batch, and who signed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from audit.models import Device
from sync_api.enrolment.adoption import adopt, may_be_adopted
from sync_api.exceptions import BadSignature, CertificateInvalid, DeviceUnknown, IssuerUnknown, KeyUnknown, WrongDevice
from sync_api.models import DeviceCredential
from sync_api.wire.format import Envelope
from sync_api.wire.header import Header


@dataclass(frozen=True, slots=True)
class Delivery:
    """An envelope whose signature and device are known to be right."""

    content: bytes
    envelope: Envelope
    header: Header
    credential: DeviceCredential
    handed_over_by: str
    is_direct: bool
    """Whether the device itself brings it."""
    receipt: dict[str, Any] | None = None
    """This server's word about the batch, as the bringer has it: not verified yet."""

    @property
    def device(self) -> Device:
        return self.credential.device

    @property
    def hash(self) -> str:
        return self.envelope.hash


def check_carrier(alias: str, device: str, handed_over_by: str) -> None:
    """A device pushes only as itself; a relay or a server may carry others' signed batches."""
    if device == handed_over_by:
        return
    role = Device.objects.using(alias).filter(name=handed_over_by).values_list("role", flat=True).first()
    if role not in (Device.Role.RELAY, Device.Role.SERVER):
        raise WrongDevice(device=device, handed_over_by=handed_over_by)


def check_signature(alias: str, header: Header, envelope: Envelope) -> None:
    """The batch is signed with its device's key: one that enrolled here, or one with a certificate.

    Whether that certificate counts here is found when the device is registered. Raises DeviceUnknown, KeyUnknown,
    BadSignature.
    """
    public_key = str(header.certificate.get("public_key"))
    credentials = DeviceCredential.objects.using(alias).filter(device__name=header.device)
    if not credentials.filter(public_key=public_key).exists() and not is_certified(header):
        known = Device.objects.using(alias).filter(name=header.device).exists()
        raise KeyUnknown(device=header.device) if known else DeviceUnknown(device=header.device)
    if not envelope.is_signed_by(public_key):
        raise BadSignature(device=header.device)


def is_certified(header: Header) -> bool:
    return may_be_adopted(header.certificate) and header.certificate.get("device") == header.device


def locked_credential(alias: str, header: Header) -> DeviceCredential:
    """The batch's credential, with a lock on all of its device's: one batch of a device at a time.

    A key that is not known here is registered by its certificate. Call inside a transaction; raises what `adopt`
    raises.
    """
    credential = find_locked(alias, header)
    if credential is None and is_certified(header):
        register(alias, header)
        credential = find_locked(alias, header)
    if credential is None:
        raise KeyUnknown(device=header.device)
    return credential


def register(alias: str, header: Header) -> None:
    """Register the batch's device by its certificate. A known device with a key of no server's making: KeyUnknown."""
    try:
        adopt(alias, header.certificate)
    except IssuerUnknown:
        raise
    except CertificateInvalid as error:
        if Device.objects.using(alias).filter(name=header.device).exists():
            raise KeyUnknown(device=header.device) from error
        raise


def find_locked(alias: str, header: Header) -> DeviceCredential | None:
    credentials = DeviceCredential.objects.using(alias).select_for_update(of=("self",), no_key=True)
    found = credentials.filter(device__name=header.device).select_related("device").order_by("pk")
    return next((one for one in found if one.public_key == header.certificate["public_key"]), None)
