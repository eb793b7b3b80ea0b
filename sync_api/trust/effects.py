"""What a believed statement changes here."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Q

from audit.models import Device
from sync_api.alarms import raise_alarm
from sync_api.conf import alias_settings
from sync_api.erasing.orders import carry_out
from sync_api.models import DeviceCredential, IncomingBatch, IncomingEpoch, LocalDevice
from sync_api.trust.positions import own_receipt
from sync_api.trust.verifying import Signer
from sync_api.wire.statements import RECEIPTS


def apply_effect(alias: str, statement: dict[str, Any], signer: Signer) -> bool:
    """Do what a believed statement calls for; whether it was an order that found something to erase here.

    Call inside a transaction; again, it changes nothing. Raises StatementInvalid for a receipt that this device's own
    batches contradict.
    """
    if statement["kind"] == "erasure":
        return carry_out(alias, statement)
    if statement["kind"] == "revocation":
        revoke_keys(alias, statement)
    elif statement["kind"] in RECEIPTS:
        device = LocalDevice.objects.using(alias).select_for_update().filter(name=statement["device"]).first()
        if device is not None:
            own_receipt(alias, device, statement, signer)
        elif alias_settings(alias).role == Device.Role.SERVER:
            compare_with_inbox(alias, statement)
    return False


def revoke_keys(alias: str, statement: dict[str, Any]) -> None:
    """The issuer's revocation, in this server's own register: the latest one's cut-off counts."""
    at = datetime.fromisoformat(statement["at"])
    keys = DeviceCredential.objects.using(alias).filter(
        Q(revoked_at=None) | Q(revoked_at__lt=at),
        public_key__in=statement["public_keys"],
        device__name=statement["device"],
    )
    keys.update(revoked_at=at, revoked_reason=statement["reason"], revoked_after=statement["after"])
    device = Device.objects.using(alias).filter(name=statement["device"], revoked_at=None)
    left = DeviceCredential.objects.using(alias).filter(device__name=statement["device"])
    if left.exists() and not left.filter(revoked_at=None).exists():
        device.update(revoked_at=at)


def compare_with_inbox(alias: str, receipt: dict[str, Any]) -> None:
    """Others' receipts are witnesses: of a fork, and of what this server held before it was restored."""
    device = Device.objects.using(alias).filter(name=receipt["device"]).first()
    if device is None:
        return
    facts = {name: receipt[name] for name in ("signer", "epoch", "number", "hash")}
    batches = IncomingBatch.objects.using(alias).filter(epoch__device=device, epoch__epoch=receipt["epoch"])
    held = batches.filter(number=receipt["number"], state__in=["held", "consumed"])
    hashes = list(held.values_list("hash", flat=True))
    if hashes and receipt["hash"] not in hashes:
        raise_alarm(
            alias,
            device,
            "receipt_differs",
            f"'{receipt['signer']}' holds another batch {receipt['number']} of device '{device.name}' than this "
            "server: the device was cloned or restored. Find out which copy is in use, then run add_device here and "
            "enrol there.",
            facts,
        )
    if not hashes and receipt["signer"] == alias_settings(alias).device:
        epoch = IncomingEpoch.objects.using(alias).filter(device=device, epoch=receipt["epoch"]).first()
        head = 0 if epoch is None else epoch.head_number
        raise_alarm(
            alias,
            device,
            "server_behind",
            f"This server gave its word for batch {receipt['number']} of device '{device.name}' and holds {head}: it "
            "was restored from an older backup. Let the device and the relays push: they send again from there.",
            {"epoch": receipt["epoch"]},
        )
