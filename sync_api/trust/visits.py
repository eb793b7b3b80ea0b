"""Visits: any certified device gets a short-lived pass at any installation that trusts its issuer.

The visitor proves that it has its certificate's key by signing a nonce of the installation. The nonce is signed
itself, so nothing is kept for those who only ask; it is good for SYNC_NONCE_SECONDS.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.signing import BadSignature, TimestampSigner
from django.utils import timezone

from sync_api.conf import alias_settings, limit
from sync_api.exceptions import VisitRefused
from sync_api.models import Visit
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


def visit_request(alias: str, *, server: str, nonce: str) -> dict[str, Any]:
    """The visitor's side: this installation's request to the one named `server`. Raises NotEnrolled."""
    certificate = own_certificate(alias)
    proof = signed(VISIT, proven(certificate, server=server, nonce=nonce), device_keys(certificate["device"]))
    return {"certificate": certificate, "nonce": nonce, "signature": proof["signature"]}


def begin_visit(alias: str, request: dict[str, Any]) -> Pass:
    """Check a visitor's request and give it a pass. Opens its own transaction.

    Raises CertificateInvalid and its kinds, or VisitRefused.
    """
    certificate, nonce = request["certificate"], request["nonce"]
    check_certificate(alias, certificate)
    name = certificate["device"]
    try:
        signer(alias).unsign(nonce, max_age=timedelta(seconds=limit("SYNC_NONCE_SECONDS")))
    except BadSignature as error:
        raise VisitRefused(device=name, what="its nonce is not from here, or too old") from error
    facts = proven(certificate, server=alias_settings(alias).device, nonce=nonce)
    if not is_signed_by(VISIT, {**facts, "signature": request["signature"]}, certificate["public_key"]):
        raise VisitRefused(device=name, what="it is not signed with its certificate's key for this installation")
    return give_pass(alias, certificate)


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


def proven(certificate: dict[str, Any], *, server: str, nonce: str) -> dict[str, Any]:
    """What a visitor signs: that this key wants a pass of that installation now."""
    return {
        "device": certificate["device"],
        "public_key": certificate["public_key"],
        "server": server,
        "nonce": nonce,
    }


def signer(alias: str) -> TimestampSigner:
    return TimestampSigner(salt=f"{NONCE_SALT}.{alias_settings(alias).device}")


def token_hash(token: str) -> str:
    """What is kept of a token: SHA-256, in hex."""
    return hashlib.sha256(token.encode()).hexdigest()
