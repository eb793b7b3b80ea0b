"""Revoked keys: known from this installation's own register, or from the issuer's signed statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sync_api.exceptions import CertificateRevoked, DeviceRevoked
from sync_api.models import DeviceCredential, Statement


@dataclass(frozen=True, slots=True)
class Revocation:
    """What is known of a revoked key. `after` is {"epoch", "number", "earlier": [epochs]}, or None: nothing counts."""

    at: datetime
    reason: str
    after: dict[str, Any] | None

    def covers(self, epoch: str, number: int) -> bool:
        """Whether a batch comes before the cut-off, as far as the cut-off alone can say."""
        if self.after is None:
            return False
        if epoch == self.after["epoch"]:
            return bool(number <= self.after["number"])
        return epoch in self.after.get("earlier", [])


def revocation_of(alias: str, certificate: dict[str, Any]) -> Revocation | None:
    """The latest revocation of a certificate's key. Only this installation's own register and its issuer count."""
    key, found = certificate["public_key"], []
    credentials = DeviceCredential.objects.using(alias).filter(public_key=key).exclude(revoked_at=None)
    for credential in credentials:
        if credential.revoked_at is not None:
            found.append(Revocation(credential.revoked_at, credential.revoked_reason, credential.revoked_after))
    found += stated_revocations(alias, certificate)
    return max(found, key=lambda revocation: revocation.at, default=None)


def stated_revocations(alias: str, certificate: dict[str, Any]) -> list[Revocation]:
    """What the certificate's issuer stated of its key."""
    statements = Statement.objects.using(alias).filter(
        kind=Statement.Kind.REVOCATION, device=certificate["device"], signer=certificate.get("issuer", "")
    )
    return [
        Revocation(datetime.fromisoformat(facts["at"]), facts["reason"], facts["after"])
        for facts in statements.values_list("facts", flat=True)
        if certificate["public_key"] in facts["public_keys"]
    ]


def check_not_revoked(alias: str, certificate: dict[str, Any]) -> None:
    """Raises CertificateRevoked."""
    if revocation_of(alias, certificate) is not None:
        raise CertificateRevoked(device=certificate["device"])


def check_cut_off(alias: str, certificate: dict[str, Any], *, epoch: str, number: int) -> None:
    """Of a revoked key, nothing but the batches up to the cut-off counts. For those who carry and know no chain.

    Raises DeviceRevoked.
    """
    revocation = revocation_of(alias, certificate)
    if revocation is not None and not revocation.covers(epoch, number):
        raise DeviceRevoked(device=certificate["device"])
