"""Receipts about this device's own batches: how far each hop has them."""

from __future__ import annotations

from typing import Any

from django.db.models import Max, Min
from django.utils import timezone

from audit.models import Device
from sync_api.alarms import raise_alarm
from sync_api.exceptions import StatementInvalid
from sync_api.models import LocalDevice, OutgoingBatch, OutgoingTransaction, PushTarget
from sync_api.trust.verifying import Signer

HELD = "held"
HELD_RELAY = "held_relay"
MARKS = {HELD: "is_consumed_server", HELD_RELAY: "is_consumed_middleman"}
SAVED_AT_ONCE = 500


def own_receipt(alias: str, device: LocalDevice, receipt: dict[str, Any], signer: Signer) -> None:
    """Note on this device's batches what a receipt says of them. Call inside a transaction that holds the device.

    The home server's `held` marks everything up to its number; a relay's only what it names; another server's has a
    position of its own. Positions never go back. Raises StatementInvalid when the receipt speaks of other batches.
    """
    check_hash(alias, device, receipt)
    is_home = signer.is_trusted and signer.name == device.server_name and "first" not in receipt
    if receipt["kind"] == HELD:
        if is_home:
            held_by_home(alias, device, receipt)
        elif "first" in receipt and signer.name != device.server_name:
            held_by_relay(alias, device, receipt)
        move_target(alias, device, receipt)
    elif is_home:
        settled_at_home(alias, device, receipt)


def settled_at_home(alias: str, device: LocalDevice, receipt: dict[str, Any]) -> None:
    """The home server's `applied` or `durable`: on each batch, and for the present epoch as a number."""
    kind = receipt["kind"]
    short = {name: receipt[name] for name in ("kind", "number", "signer", "at")}
    note(alias, device, receipt, kind, first=1, kept=short if kind == "applied" else receipt)
    if receipt["epoch"] == device.epoch:
        member = f"{kind}_number"
        rows = LocalDevice.objects.using(alias).filter(pk=device.pk, **{f"{member}__lt": receipt["number"]})
        rows.update(**{member: receipt["number"]})


def check_hash(alias: str, device: LocalDevice, receipt: dict[str, Any]) -> None:
    """The receipt's batch is ours. Another hash, or a number that was never sealed here: cloned or restored."""
    batches = OutgoingBatch.objects.using(alias).filter(device=device, epoch=receipt["epoch"])
    own = batches.filter(number=receipt["number"]).values_list("hash", flat=True).first()
    if own == receipt["hash"]:
        return
    head = device.head_number if receipt["epoch"] == device.epoch else batches.aggregate(last=Max("number"))["last"]
    if own is None and (head is None or receipt["number"] <= head):
        return  # of an epoch that is not stored here, or a batch removed after its durable mark
    if own is None and receipt["epoch"] != device.epoch:  # restored, and enrolled again since: that is known
        raise StatementInvalid(code="hash_differs", what="it speaks of an earlier life of this device")
    registered, _ = Device.objects.using(alias).get_or_create(name=device.name, defaults={"role": device.role})
    raise_alarm(
        alias,
        registered,
        "receipt_differs",
        f"'{receipt['signer']}' holds a batch {receipt['number']} of device '{device.name}' that was not made here: "
        "this database was restored from an older copy, or a copy of it is in use elsewhere. Call the server's "
        "operator; a new code and `enrol` begin a new epoch here, and nothing is lost.",
        {name: receipt[name] for name in ("signer", "epoch", "number", "hash")},
    )
    raise StatementInvalid(
        code="hash_differs", what=f"it speaks of another batch {receipt['number']} than the one here"
    )


def held_by_home(alias: str, device: LocalDevice, receipt: dict[str, Any]) -> None:
    note(alias, device, receipt, HELD, first=1, kept=receipt)
    LocalDevice.objects.using(alias).filter(
        pk=device.pk, epoch=receipt["epoch"], acknowledged_number__lt=receipt["number"]
    ).update(acknowledged_number=receipt["number"])


def held_by_relay(alias: str, device: LocalDevice, receipt: dict[str, Any]) -> None:
    note(alias, device, receipt, HELD_RELAY, first=receipt["first"], kept=receipt)


def note(
    alias: str, device: LocalDevice, receipt: dict[str, Any], name: str, *, first: int, kept: dict[str, Any]
) -> None:
    """`kept` on each batch that has nothing of that name, and for `held` the mark on these batches' transactions."""
    batches = OutgoingBatch.objects.using(alias).filter(
        device=device, epoch=receipt["epoch"], number__gte=first, number__lte=receipt["number"]
    )
    fresh = list(batches.exclude(receipts__has_key=name).only("pk", "receipts", "first_id", "last_id"))
    if not fresh:
        return
    for batch in fresh:
        batch.receipts = {**batch.receipts, name: kept}
    OutgoingBatch.objects.using(alias).bulk_update(fresh, ["receipts"], batch_size=SAVED_AT_ONCE)
    if name not in MARKS:
        return
    ends = batches.filter(pk__in=[batch.pk for batch in fresh]).aggregate(first=Min("first_id"), last=Max("last_id"))
    sent = OutgoingTransaction.objects.using(alias).filter(
        id__gte=ends["first"],
        id__lte=ends["last"],
        device=device.name,
        batch_epoch=receipt["epoch"],
        batch_number__gte=first,
        batch_number__lte=receipt["number"],
    )
    sent.update(**{MARKS[name]: True})


def move_target(alias: str, device: LocalDevice, receipt: dict[str, Any]) -> None:
    """The signer's own position, where this device pushes to it. A relay's run must follow on what it has."""
    target = PushTarget.objects.using(alias).filter(device=device, name=receipt["signer"]).first()
    if target is None or receipt["epoch"] != device.epoch:
        return
    acknowledged = target.acknowledged_number if target.epoch == device.epoch else 0
    if receipt.get("first", 1) > acknowledged + 1 or receipt["number"] <= acknowledged:
        return
    target.epoch, target.acknowledged_number = device.epoch, receipt["number"]
    target.last_held_at = timezone.now()
    target.save(using=alias, update_fields=["epoch", "acknowledged_number", "last_held_at"])
