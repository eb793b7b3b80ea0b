"""The server's side of enrolment: register a device, answer its request, revoke it."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone

from audit.models import Device
from audit.models.devices import device_name_validator
from sync_api import conf
from sync_api.enrolment.codes import code_hash, new_code, read_code
from sync_api.enrolment.requests import EnrolmentRequest
from sync_api.exceptions import (
    CodeRefused,
    DeviceNameDiffers,
    DeviceNameInvalid,
    DeviceRevoked,
    DeviceUnknown,
    KeyTaken,
)
from sync_api.models import DeviceCredential, EnrolmentCode, IncomingEpoch
from sync_api.recipients.lists import recipient_list
from sync_api.transactions import immediate
from sync_api.trust import issue_statement
from sync_api.wire.certificates import CERTIFICATE, signed
from sync_api.wire.keys import device_keys

TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class NewCode:
    """A code to read to the person at the device. It is shown once and kept only as a hash."""

    device: str
    code: str
    expires_at: datetime


def add_device(alias: str, name: str, *, role: str | None = None, by: str = "") -> NewCode:
    """Register `name` (or find it) and make a new one-time code; earlier unused codes end.

    Opens its own transaction. `role` changes only when given; a new device is a client.
    """
    try:
        device_name_validator(name)
    except ValidationError as error:
        raise DeviceNameInvalid(name=name) from error
    code = new_code()
    now = timezone.now()
    expires_at = now + timedelta(hours=conf.limit("SYNC_CODE_HOURS"))
    with immediate(alias):
        device, _ = Device.objects.using(alias).get_or_create(
            name=name, defaults={"role": role or Device.Role.CLIENT, "registered_by": by}
        )
        if role and role != device.role:
            device.role = role
            device.save(using=alias, update_fields=["role"])
        open_codes = EnrolmentCode.objects.using(alias).filter(device=device, used_at=None)
        open_codes.filter(expires_at__gt=now).update(expires_at=now)
        EnrolmentCode.objects.using(alias).create(
            device=device, code_hash=code_hash(read_code(code)), created_by=by, expires_at=expires_at
        )
    return NewCode(name, code, expires_at)


def enrol_device(alias: str, request: EnrolmentRequest) -> dict[str, Any]:
    """Answer a request: certificate, token, and the server's name and key. Opens its own transaction.

    The same key may ask again with its code while that is valid (the answer may have been lost): the token is
    then a new one and the earlier ends. Raises CodeRefused, KeyTaken or DeviceNameDiffers; the code stays usable.
    """
    with immediate(alias):
        code = _usable_code(alias, request)
        device = code.device
        if request.device != device.name:
            raise DeviceNameDiffers(enrolled=device.name, configured=request.device)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        certificate = issue_certificate(alias, device, request.public_key)
        store_credential(alias, device, request.public_key, certificate, token)
        code.used_at = code.used_at or timezone.now()
        code.used_by_key = request.public_key
        code.save(using=alias, update_fields=["used_at", "used_by_key"])
        Device.objects.using(alias).filter(pk=device.pk).update(revoked_at=None)
    return {
        "device": device.name,
        "role": device.role,
        "token": token,
        "certificate": certificate,
        "server": server_identity(alias),
        "recipients": recipient_list(alias),
        "epochs": epochs_begun(alias, device),
    }


def epochs_begun(alias: str, device: Device) -> list[str]:
    """The epochs of which batches are held. A copy of a database learns from it that another one has gone on."""
    epochs = IncomingEpoch.objects.using(alias).filter(device=device, head_number__gt=0).order_by("ordinal")
    return list(epochs.values_list("epoch", flat=True))


def _usable_code(alias: str, request: EnrolmentRequest) -> EnrolmentCode:
    codes = EnrolmentCode.objects.using(alias).select_related("device").select_for_update(of=("self",))
    code = codes.filter(code_hash=code_hash(request.secret)).first()
    if code is None:
        raise CodeRefused(what="is not known here")
    if code.used_at is not None and code.used_by_key != request.public_key:
        raise CodeRefused(what="has been used already")
    if code.expires_at <= timezone.now():
        raise CodeRefused(what="has expired")
    return code


def issue_certificate(alias: str, device: Device, public_key: str) -> dict[str, Any]:
    """A certificate for `public_key`, signed with this server's key."""
    server = conf.alias_settings(alias).device
    keys = device_keys(server)
    facts = {
        "device": device.name,
        "role": device.role,
        "public_key": public_key,
        "issuer": server,
        "issuer_key": keys.public_hex,
        "issued_at": timezone.now().isoformat(),
        "serial": uuid.uuid4().hex,
    }
    return signed(CERTIFICATE, facts, keys)


def store_credential(
    alias: str, device: Device, public_key: str, certificate: dict[str, Any], token: str
) -> DeviceCredential:
    """Keep the device's key with a new token; its other tokens end, its other keys stay good for what they signed.

    Call inside a transaction. Raises KeyTaken.
    """
    credentials = DeviceCredential.objects.using(alias)
    known = credentials.filter(public_key=public_key).first()
    if known is not None and known.device_id != device.pk:
        raise KeyTaken(what="belongs to another device")
    if known is not None and known.revoked_at is not None:
        raise KeyTaken(what="has been revoked")
    for other in credentials.filter(device=device).exclude(public_key=public_key):
        other.token_hash = token_hash(secrets.token_urlsafe(TOKEN_BYTES))  # nobody holds this one
        other.save(using=alias, update_fields=["token_hash"])
    facts = {"device": device, "certificate": certificate, "token_hash": token_hash(token)}
    credential, _ = credentials.update_or_create(public_key=public_key, defaults=facts)
    return credential


def token_hash(token: str) -> str:
    """What is kept of a token: SHA-256, in hex. It has 256 random bits, so it needs no key."""
    return hashlib.sha256(token.encode()).hexdigest()


def find_credential(alias: str, token: str) -> DeviceCredential | None:
    """The credential that a token belongs to. Raises DeviceRevoked."""
    credentials = DeviceCredential.objects.using(alias).select_related("device")
    credential = credentials.filter(token_hash=token_hash(token)).first()
    if credential is None:
        return None
    if credential.revoked_at is not None or credential.device.revoked_at is not None:
        raise DeviceRevoked(device=credential.device.name)
    return credential


def server_identity(alias: str) -> dict[str, str]:
    """This server's name and public key."""
    name = conf.alias_settings(alias).device
    return {"name": name, "public_key": device_keys(name).public_hex}


def revoke_device(alias: str, name: str, *, reason: str, after: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """Revoke every key of `name`. What was signed up to the cut-off stays valid. Opens its own transaction.

    `after` is {"epoch": hex, "number": n}; without it the cut-off is the head held here now. Returns the cut-off
    with the epochs before it (None when nothing of the device is held: then nothing more is accepted). For the keys
    that this server certified, a signed statement is kept, which travels with receipts. Raises DeviceUnknown.
    """
    with immediate(alias):
        device = Device.objects.using(alias).filter(name=name).first()
        if device is None:
            raise DeviceUnknown(device=name)
        if after is None:
            newest = IncomingEpoch.objects.using(alias).filter(device=device).order_by("-ordinal").first()
            after = None if newest is None else {"epoch": newest.epoch, "number": newest.head_number}
        after = None if after is None else {**after, "earlier": earlier_epochs(alias, device, after["epoch"])}
        now = timezone.now()
        state_revocation(alias, device, reason=reason, after=after)
        DeviceCredential.objects.using(alias).filter(device=device, revoked_at=None).update(
            revoked_at=now, revoked_reason=reason, revoked_after=after
        )
        EnrolmentCode.objects.using(alias).filter(device=device, expires_at__gt=now).update(expires_at=now)
        Device.objects.using(alias).filter(pk=device.pk).update(revoked_at=now)
    return after


def earlier_epochs(alias: str, device: Device, epoch: str) -> list[str]:
    """The device's epochs before that one, so that a server which has met none of them yet can take their batches."""
    epochs = IncomingEpoch.objects.using(alias).filter(device=device).order_by("ordinal")
    known = list(epochs.values_list("epoch", flat=True))
    return known[: known.index(epoch)] if epoch in known else []


def state_revocation(alias: str, device: Device, *, reason: str, after: dict[str, Any] | None) -> None:
    """The signed statement for the keys certified here. Call inside a transaction, before they are revoked."""
    own = conf.alias_settings(alias).device
    credentials = DeviceCredential.objects.using(alias).filter(device=device, revoked_at=None)
    keys = [one.public_key for one in credentials if one.certificate.get("issuer") == own]
    if keys:
        facts = {"public_keys": keys, "after": after, "reason": reason}
        issue_statement(alias, "revocation", device.name, via="revoke_device", **facts)
