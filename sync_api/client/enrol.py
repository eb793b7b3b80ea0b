"""Enrols this installation: makes its key, shows its code, keeps certificate, token and the server's key."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
from django.utils import timezone

from sync_api.client.http import JSON, Server
from sync_api.client.targets import ensure_home
from sync_api.conf import alias_settings
from sync_api.enrolment.requests import make_request
from sync_api.exceptions import CertificateInvalid, NotTheServer
from sync_api.models import LocalDevice
from sync_api.recipients.lists import take_list
from sync_api.transactions import immediate
from sync_api.wire.certificates import CERTIFICATE, is_signed_by
from sync_api.wire.keys import (
    KEY_FILE,
    TOKEN_FILE,
    DeviceKeys,
    device_folder,
    device_keys,
    replace_private,
)


@dataclass(frozen=True, slots=True)
class EnrolReport:
    """Who enrolled where; `began_epoch` says that a new epoch began, so a baseline is due before the next push."""

    device: str
    server: str
    url: str
    began_epoch: bool


def enrol(
    alias: str,
    url: str,
    code: str,
    *,
    new_key: bool = False,
    allow_http: bool = False,
    transport: httpx.BaseTransport | None = None,
) -> EnrolReport:
    """Exchange a one-time code for certificate and token. Opens its own transaction at the end.

    May be repeated with the same code while that is valid, if the answer was lost. An installation that had sealed
    batches begins a new epoch that continues the old one. Raises SyncErrors: CodeMistyped before anything is sent,
    ServerRefused, NotTheServer, ServerUnreachable, CertificateInvalid.
    """
    name = alias_settings(alias).device
    if new_key:
        set_key_aside(name)
    keys = device_keys(name)
    request = make_request(code=code, device=name, keys=keys)
    with Server(url, allow_http=allow_http, transport=transport) as server:
        answer = server.post("enrolments", orjson.dumps(request), JSON)
        address = server.url
    enrolled = checked_answer(answer.body, name, keys, address)
    replace_private(device_folder(name) / TOKEN_FILE, enrolled["token"].encode())
    began = store(alias, enrolled, address)
    return EnrolReport(name, enrolled["server"]["name"], address, began)


def checked_answer(body: dict[str, Any], name: str, keys: DeviceKeys, url: str) -> dict[str, Any]:
    """The answer, if the certificate says what it must and is signed by the server that it names."""
    try:
        certificate, server = body["certificate"], body["server"]
        said = (certificate["device"], certificate["public_key"], certificate["issuer_key"])
        key, token = server["public_key"], body["token"]
        server["name"].encode()
    except (KeyError, TypeError, AttributeError) as error:
        raise NotTheServer(url=url, status=201) from error
    if said != (name, keys.public_hex, key) or not isinstance(token, str):
        raise CertificateInvalid(what="it speaks of another device, key or server")
    if not is_signed_by(CERTIFICATE, certificate, key):
        raise CertificateInvalid(what="its signature is not the server's")
    return body


def store(alias: str, enrolled: dict[str, Any], url: str) -> bool:
    """Keep certificate and server; begin a new epoch where batches were sealed, here or by a copy of this database that
    the server knows. Returns whether one began."""
    from sync_api.capture.install import local_device

    with immediate(alias):
        device = local_device(alias)
        began = device.head_number > 0 or device.epoch in (enrolled.get("epochs") or ())
        if began:
            begin_epoch(alias, device)
        device.role = enrolled["role"]
        device.certificate = enrolled["certificate"]
        device.server_url = url
        device.server_name = enrolled["server"]["name"]
        device.server_key = enrolled["server"]["public_key"]
        device.enrolled_at = timezone.now()
        device.save(using=alias)
        if "recipients" in enrolled:
            take_list(alias, enrolled["recipients"], server=device.server_name, server_key=device.server_key)
        ensure_home(alias, device)
    return began


def begin_epoch(alias: str, device: LocalDevice) -> None:
    """A new epoch that continues the present one; every synced model's baseline is due. The caller saves."""
    from sync_api.capture.install import captured_tables

    device.began = {
        "kind": "continues",
        "epoch": device.epoch,
        "number": device.head_number,
        "hash": device.head_hash,
    }
    device.epoch = uuid.uuid4().hex
    device.started_at = timezone.now()
    device.head_number = device.sequence = device.acknowledged_number = device.applied_number = 0
    device.head_hash = ""
    labels = [captured.schema.label for captured in captured_tables(alias, create=True)]
    device.baselines = {label: {"done": False, "after": None} for label in labels}


def set_key_aside(name: str) -> None:
    """Keep the old key under another name: a new one is made at the next use."""
    path = device_folder(name) / KEY_FILE
    if path.exists():
        path.rename(path.with_name(f"{KEY_FILE}.{timezone.now():%Y%m%dT%H%M%S}"))
