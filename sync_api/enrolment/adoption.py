"""Devices that enrolled elsewhere: registered here by their certificate, when a server that is trusted here signed it.

A server restored from a backup finds again in this way the devices that it enrolled itself since.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from audit.models import Device
from sync_api.conf import alias_settings
from sync_api.enrolment.registration import TOKEN_BYTES, token_hash
from sync_api.exceptions import DeviceNameTaken, DeviceRevoked
from sync_api.models import DeviceCredential, EnrolmentCode
from sync_api.trust import check_issued
from sync_api.trust.revocations import revocation_of, stated_revocations


def adopt(alias: str, certificate: dict[str, Any]) -> DeviceCredential:
    """The credential of a certificate's key, registered now if it was not known: a key without a token.

    Call inside a transaction. What the issuer revoked is registered as revoked, with the cut-off. Raises
    CertificateInvalid, IssuerUnknown, DeviceNameTaken when a device of another server has that name here, or
    DeviceRevoked when this server's operator revoked the device.
    """
    known = find(alias, certificate)
    if known is not None:
        return known
    check_issued(alias, certificate)
    device, _ = Device.objects.using(alias).get_or_create(
        name=certificate["device"],
        defaults={"role": certificate["role"], "registered_by": f"certificate of {certificate['issuer']}"},
    )
    device = Device.objects.using(alias).select_for_update(no_key=True).get(pk=device.pk)
    known = find(alias, certificate)
    if known is not None:  # two roads at once: the other one was first
        return known
    check_name(alias, certificate)
    check_not_shut_out(alias, device)
    take_role(alias, device, certificate)
    revoked = revocation_of(alias, certificate)
    if revoked is None and device.revoked_at is not None:
        Device.objects.using(alias).filter(pk=device.pk).update(revoked_at=None)
    return DeviceCredential.objects.using(alias).create(
        device=device,
        public_key=certificate["public_key"],
        certificate=certificate,
        token_hash=token_hash(secrets.token_urlsafe(TOKEN_BYTES)),  # nobody holds this one
        revoked_at=None if revoked is None else revoked.at,
        revoked_reason="" if revoked is None else revoked.reason,
        revoked_after=None if revoked is None else revoked.after,
    )


def find(alias: str, certificate: dict[str, Any]) -> DeviceCredential | None:
    credentials = DeviceCredential.objects.using(alias).select_related("device")
    return credentials.filter(public_key=certificate["public_key"], device__name=certificate["device"]).first()


def may_be_adopted(certificate: dict[str, Any]) -> bool:
    """Whether it claims to be issued by a server. Before enrolment a device can only say its own key."""
    return "issuer" in certificate


def check_name(alias: str, certificate: dict[str, Any]) -> None:
    """One name, one device: a further key must come from the server that certified the ones before, or that is to
    certify the first: a device that was added here waits for its code."""
    name, issuer, own = certificate["device"], certificate["issuer"], alias_settings(alias).device
    if name == own and issuer != name:
        raise DeviceNameTaken(device=name, issuer=issuer)
    if issuer not in (own, name) and EnrolmentCode.objects.using(alias).filter(device__name=name).exists():
        raise DeviceNameTaken(device=name, issuer=issuer)
    others = DeviceCredential.objects.using(alias).filter(device__name=name)
    taken = DeviceCredential.objects.using(alias).filter(public_key=certificate["public_key"])
    if any(known.get("issuer") != issuer for known in others.values_list("certificate", flat=True)) or taken.exists():
        raise DeviceNameTaken(device=name, issuer=issuer)


def check_not_shut_out(alias: str, device: Device) -> None:
    """A key that was revoked here, and not by its issuer: this operator's word stands for the device's new keys too.

    Raises DeviceRevoked.
    """
    revoked = DeviceCredential.objects.using(alias).filter(device=device).exclude(revoked_at=None)
    if any(not stated_revocations(alias, credential.certificate) for credential in revoked):
        raise DeviceRevoked(device=device.name)


def take_role(alias: str, device: Device, certificate: dict[str, Any]) -> None:
    """The newest certificate's role counts; here registered roles stay as they are."""
    issued = datetime.fromisoformat(certificate["issued_at"])
    own = alias_settings(alias).device
    earlier = DeviceCredential.objects.using(alias).filter(device=device).values_list("certificate", flat=True)
    newest = all(datetime.fromisoformat(known["issued_at"]) < issued for known in earlier)
    if device.role != certificate["role"] and newest and certificate["issuer"] != own:
        device.role = certificate["role"]
        device.save(using=alias, update_fields=["role"])
