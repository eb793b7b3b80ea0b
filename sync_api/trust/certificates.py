"""Whose word counts here, and whether a certificate is one of theirs."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from audit.models import Device
from sync_api.conf import alias_settings
from sync_api.exceptions import CertificateInvalid, IssuerUnknown, NotEnrolled
from sync_api.models import LocalDevice, TrustedServer
from sync_api.trust.revocations import check_not_revoked
from sync_api.wire.certificates import CERTIFICATE, is_signed_by, signed
from sync_api.wire.header import DEVICE, HEX64, is_certificate
from sync_api.wire.keys import device_keys

MEMBERS = frozenset({"device", "role", "public_key", "issuer", "issuer_key", "issued_at", "serial", "signature"})


def trusted_servers(alias: str) -> dict[str, str]:
    """Public keys of the servers that are believed here, by name: itself where it is a server, the one it enrolled
    with, and those that an operator pinned. A pinned key counts before the one that came with enrolment."""
    own = alias_settings(alias)
    trusted: dict[str, str] = {}
    homes = LocalDevice.objects.using(alias).filter(name=own.device).exclude(server_key="")
    trusted.update(homes.values_list("server_name", "server_key"))
    trusted.update(TrustedServer.objects.using(alias).filter(is_active=True).values_list("name", "public_key"))
    if own.role == Device.Role.SERVER:
        trusted[own.device] = device_keys(own.device).public_hex
    return trusted


def check_issued(alias: str, certificate: Any, *, trusted: dict[str, str] | None = None) -> None:
    """A server that is trusted here signed the certificate. Says nothing of revocation.

    Raises CertificateInvalid, and IssuerUnknown when its issuer is not trusted here.
    """
    trusted = trusted_servers(alias) if trusted is None else trusted
    if not is_certificate(certificate) or certificate.keys() != MEMBERS:
        raise CertificateInvalid(what="it is not of the form that a server issues")
    name, issuer = certificate["device"], certificate["issuer"]
    if not DEVICE.fullmatch(name) or not HEX64.fullmatch(certificate["public_key"]):
        raise CertificateInvalid(what="its device's name or key is malformed")
    if certificate["role"] not in Device.Role.values:
        raise CertificateInvalid(what=f"it gives '{name}' a role that does not exist")
    if issuer not in trusted:
        raise IssuerUnknown(device=name, issuer=issuer[:64])
    if certificate["issuer_key"] != trusted[issuer] or not is_signed_by(CERTIFICATE, certificate, trusted[issuer]):
        raise CertificateInvalid(what=f"the certificate of '{name}' is not signed with the known key of '{issuer}'")
    if name in trusted and certificate["public_key"] != trusted[name]:
        raise CertificateInvalid(what=f"it gives another key to '{name}', a server that is known here by its own")


def check_certificate(alias: str, certificate: Any) -> None:
    """A server that is trusted here signed it, and it is not revoked here.

    Raises CertificateInvalid; its kinds IssuerUnknown and CertificateRevoked say more.
    """
    check_issued(alias, certificate)
    check_not_revoked(alias, certificate)


def own_certificate(alias: str) -> dict[str, Any]:
    """This installation's certificate. A server signs its own, always the same; others have theirs from enrolment.

    Raises NotEnrolled.
    """
    own = alias_settings(alias)
    device = LocalDevice.objects.using(alias).filter(name=own.device).first()
    if own.role == Device.Role.SERVER:
        return server_certificate(own.device, None if device is None else device.started_at)
    if device is None or not device.certificate:
        raise NotEnrolled(device=own.device)
    return dict(device.certificate)


def server_certificate(name: str, started_at: datetime | None) -> dict[str, Any]:
    keys = device_keys(name)
    facts = {
        "device": name,
        "role": Device.Role.SERVER.value,
        "public_key": keys.public_hex,
        "issuer": name,
        "issuer_key": keys.public_hex,
        "issued_at": (started_at or datetime(1970, 1, 1, tzinfo=UTC)).isoformat(),
        "serial": hashlib.sha256(keys.public_hex.encode()).hexdigest()[:32],
    }
    return signed(CERTIFICATE, facts, keys)
