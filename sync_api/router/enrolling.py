"""Enrolment inside one process: who may write to both databases needs no code."""

from __future__ import annotations

import secrets

from django.utils import timezone

from audit.models import Device
from sync_api.conf import alias_settings
from sync_api.enrolment.registration import TOKEN_BYTES, issue_certificate, server_identity, store_credential
from sync_api.exceptions import NotAServer
from sync_api.models import DeviceCredential, LocalDevice
from sync_api.recipients.lists import recipient_list, take_list
from sync_api.transactions import immediate
from sync_api.wire.keys import device_keys


def require_server(target: str) -> None:
    """NotAServer unless `target` is a server's database."""
    own = alias_settings(target)
    if own.role != "server":
        raise NotAServer(device=own.device or target, role=own.role)


def enrol_locally(source: str, device: LocalDevice, target: str) -> None:
    """Register `device` in database `target` with its key, and note the certificate where the device lives.

    Opens its own transactions, one per database; done again it changes nothing. DeviceRevoked and KeyTaken as
    in enrolment.
    """
    own = alias_settings(target)
    public_key = device_keys(device.name).public_hex
    with immediate(target):
        registered, _ = Device.objects.using(target).get_or_create(
            name=device.name, defaults={"role": device.role, "registered_by": own.device}
        )
        credentials = DeviceCredential.objects.using(target).filter(device=registered, public_key=public_key)
        credential = credentials.first()
        if credential is None:
            certificate = issue_certificate(target, registered, public_key)
            token = secrets.token_urlsafe(TOKEN_BYTES)  # nobody is told it: this device needs none here
            credential = store_credential(target, registered, public_key, certificate, token)
    if device.certificate:
        return
    server = server_identity(target)
    device.certificate = credential.certificate
    device.server_name, device.server_key = server["name"], server["public_key"]
    device.enrolled_at = timezone.now()
    device.save(using=source, update_fields=["certificate", "server_name", "server_key", "enrolled_at"])
    take_list(source, recipient_list(target), server=device.server_name, server_key=device.server_key)
