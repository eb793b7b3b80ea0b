"""Whether a batch may come in at all: known device, its own key, its own hands, not revoked."""

from __future__ import annotations

from audit.models import Device
from sync_api.exceptions import BadSignature, DeviceRevoked, DeviceUnknown, KeyUnknown, WrongDevice
from sync_api.models import DeviceCredential, IncomingEpoch
from sync_api.wire.format import Envelope
from sync_api.wire.header import Header


def require_trust(alias: str, envelope: Envelope, header: Header, handed_over_by: str) -> Device:
    """The batch's device. Raises DeviceUnknown, WrongDevice, KeyUnknown, BadSignature or DeviceRevoked."""
    if handed_over_by != header.device and not may_carry(alias, handed_over_by):
        raise WrongDevice(device=header.device, handed_over_by=handed_over_by)
    device = Device.objects.using(alias).filter(name=header.device).first()
    if device is None or not device.credentials.exists():
        raise DeviceUnknown(device=header.device)
    public_key = header.certificate.get("public_key")
    if not isinstance(public_key, str):
        raise KeyUnknown(device=header.device)
    credential = device.credentials.filter(public_key=public_key).first()
    if credential is None:
        raise KeyUnknown(device=header.device)
    if not envelope.is_signed_by(public_key):
        raise BadSignature(device=header.device)
    if (credential.revoked_at or device.revoked_at) and not before_cut_off(alias, device, credential, header):
        raise DeviceRevoked(device=header.device)
    return device


def may_carry(alias: str, name: str) -> bool:
    """Whether that device may hand over others' batches."""
    roles = (Device.Role.RELAY, Device.Role.SERVER)
    return Device.objects.using(alias).filter(name=name, role__in=roles, revoked_at=None).exists()


def before_cut_off(alias: str, device: Device, credential: DeviceCredential, header: Header) -> bool:
    """Whether the batch is one of those that a revocation lets stand."""
    cut_off = credential.revoked_after
    if not cut_off:
        return False
    if cut_off["epoch"] == header.epoch:
        return bool(header.number <= cut_off["number"])
    epochs = IncomingEpoch.objects.using(alias).filter(device=device)
    last = epochs.filter(epoch=cut_off["epoch"]).first()
    return last is not None and epochs.filter(epoch=header.epoch, ordinal__lt=last.ordinal).exists()
