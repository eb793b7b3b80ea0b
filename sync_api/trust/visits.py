"""Visits: any certified device gets a short-lived pass at any installation that trusts its issuer.

The visitor proves that it has its certificate's key by signing a nonce of the installation, together with that
installation's name and key and the address that it dialled. A man in the middle, at an address of his own, can hand
the proof on, but it is not good at the server's. The nonce is signed itself, so nothing is kept for those who only
ask; it is good once, for SYNC_NONCE_SECONDS.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.signing import BadSignature, TimestampSigner
from django.utils import timezone

from sync_api.conf import alias_settings, limit
from sync_api.exceptions import TooManyVisits, VisitElsewhere, VisitRefused
from sync_api.models import UsedNonce, Visit
from sync_api.transactions import immediate
from sync_api.trust.certificates import check_certificate, own_certificate
from sync_api.wire.certificates import is_signed_by, signed
from sync_api.wire.keys import device_keys

VISIT = b"syncserver-visit-1\0"
NONCE_SALT = "sync_api.visit"
TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Pass:
    """A new pass; the token is told once and kept as a hash."""

    token: str
    visit: Visit


def new_nonce(alias: str) -> str:
    """Something fresh for a visitor to sign. Stores nothing."""
    return signer(alias).sign(secrets.token_urlsafe(16))


def visit_request(alias: str, *, server: str, key: str, address: str, nonce: str) -> dict[str, Any]:
    """The visitor's side: this installation's request to the one named `server`, met at `address` (host and port).

    `key`: that installation's public key, from its certificate. Raises NotEnrolled.
    """
    certificate = own_certificate(alias)
    facts = proven(certificate, server=server, key=key, address=address, nonce=nonce)
    proof = signed(VISIT, facts, device_keys(certificate["device"]))
    return {"certificate": certificate, "address": address, "nonce": nonce, "signature": proof["signature"]}


def begin_visit(alias: str, request: dict[str, Any], *, addresses: Collection[str]) -> Pass:
    """Check a visitor's request and give it a pass. Opens its own transaction.

    `addresses`: where this installation is reached. Raises CertificateInvalid and its kinds, VisitRefused or
    TooManyVisits.
    """
    certificate, nonce, address = request["certificate"], request["nonce"], request["address"]
    check_certificate(alias, certificate)
    name = certificate["device"]
    try:
        signer(alias).unsign(nonce, max_age=timedelta(seconds=limit("SYNC_NONCE_SECONDS")))
    except BadSignature as error:
        raise VisitRefused(device=name, what="its nonce is not from here, or too old") from error
    own = alias_settings(alias).device
    facts = proven(certificate, server=own, key=device_keys(own).public_hex, address=address, nonce=nonce)
    if not is_signed_by(VISIT, {**facts, "signature": request["signature"]}, certificate["public_key"]):
        raise VisitRefused(device=name, what="it is not signed with its certificate's key for this installation")
    if address not in addresses:
        raise VisitElsewhere(device=name, dialled=address, addresses=sorted(addresses))
    with immediate(alias):
        use_nonce(alias, certificate, nonce)
        return give_pass(alias, certificate)


def use_nonce(alias: str, certificate: dict[str, Any], nonce: str) -> None:
    """Note that a nonce was used; those that are too old for another use go. Call inside a transaction that keeps
    other writers out. Raises VisitRefused when it was used before, TooManyVisits beyond SYNC_NONCES_PER_DEVICE_MAX.
    """
    now, used = timezone.now(), UsedNonce.objects.using(alias)
    used.filter(ends_at__lte=now).delete()
    digest = hashlib.sha256(nonce.encode()).hexdigest()
    if used.filter(digest=digest).exists():
        raise VisitRefused(device=certificate["device"], what="its nonce was used before")
    if used.filter(public_key=certificate["public_key"]).count() >= limit("SYNC_NONCES_PER_DEVICE_MAX"):
        raise TooManyVisits(device=certificate["device"], seconds=int(limit("SYNC_NONCE_SECONDS")))
    ends_at = now + timedelta(seconds=limit("SYNC_NONCE_SECONDS"))
    used.create(digest=digest, public_key=certificate["public_key"], ends_at=ends_at)


def give_pass(alias: str, certificate: dict[str, Any]) -> Pass:
    """A new pass; ended ones go, and the oldest beyond SYNC_VISITS_PER_DEVICE_MAX. Opens its own transaction."""
    token, now = secrets.token_urlsafe(TOKEN_BYTES), timezone.now()
    with immediate(alias):
        visits = Visit.objects.using(alias)
        visits.filter(ends_at__lte=now).delete()
        own = visits.filter(public_key=certificate["public_key"]).order_by("-began_at", "-pk")
        kept = own.values_list("pk", flat=True)[: int(limit("SYNC_VISITS_PER_DEVICE_MAX")) - 1]
        own.exclude(pk__in=list(kept)).delete()
        visit = visits.create(
            device=certificate["device"],
            role=certificate["role"],
            public_key=certificate["public_key"],
            certificate=certificate,
            token_hash=token_hash(token),
            began_at=now,
            ends_at=now + timedelta(seconds=limit("SYNC_VISIT_SECONDS")),
        )
    return Pass(token, visit)


def find_visit(alias: str, token: str) -> Visit | None:
    """The visit that a token belongs to, unless it has ended. Raises CertificateInvalid when it was revoked since."""
    visit = Visit.objects.using(alias).filter(token_hash=token_hash(token), ends_at__gt=timezone.now()).first()
    if visit is not None:
        check_certificate(alias, visit.certificate)
    return visit


def proven(certificate: dict[str, Any], *, server: str, key: str, address: str, nonce: str) -> dict[str, Any]:
    """What a visitor signs: that this key wants a pass of that installation, at that address, now."""
    return {
        "device": certificate["device"],
        "public_key": certificate["public_key"],
        "server": server,
        "server_key": key,
        "address": address,
        "nonce": nonce,
    }


def signer(alias: str) -> TimestampSigner:
    return TimestampSigner(salt=f"{NONCE_SALT}.{alias_settings(alias).device}")


def token_hash(token: str) -> str:
    """What is kept of a token: SHA-256, in hex."""
    return hashlib.sha256(token.encode()).hexdigest()
