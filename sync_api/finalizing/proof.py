"""The proof that a server preserved what a mark counted: its signed `applied` receipt, checked with the pinned key."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from sync_api.exceptions import PreservationUnproven
from sync_api.models import Finalization, LocalDevice, OutgoingBatch, OutgoingTransaction, Statement
from sync_api.transactions import immediate
from sync_api.wire.certificates import RECEIPT, is_signed_by
from sync_api.wire.marks import Mark, read_manifest

APPLIED = "applied"


def mark_of(finalization: Finalization) -> Mark:
    return read_manifest(finalization.mark_id, finalization.is_partial, finalization.manifest)


def mark_line(alias: str, finalization: Finalization) -> OutgoingTransaction:
    line: OutgoingTransaction = OutgoingTransaction.objects.using(alias).get(pk=finalization.transaction_id)
    return line


def stored_receipts(alias: str, device: LocalDevice) -> list[dict[str, Any]]:
    """The `applied` receipts of the home server that came by any road."""
    rows = Statement.objects.using(alias).filter(kind=APPLIED, device=device.name, signer=device.server_name)
    return list(rows.order_by("-id").values_list("facts", flat=True))


def confirm(alias: str, finalization: Finalization) -> bool:
    """Take the proof from the receipts that are here, if one is. Opens its own transaction; may run again."""
    with immediate(alias):
        device = LocalDevice.objects.using(alias).select_for_update().get(pk=finalization.device_id)
        finalization.refresh_from_db(using=alias)
        if finalization.state != Finalization.State.MARKED:
            return finalization.state == Finalization.State.CONFIRMED
        for receipt in stored_receipts(alias, device):
            if missing_proof(alias, device, finalization, receipt) is None:
                finalization.receipt = receipt
                finalization.state = Finalization.State.CONFIRMED
                finalization.confirmed_at = timezone.now()
                finalization.save(using=alias, update_fields=["receipt", "state", "confirmed_at"])
                return True
    return False


def require_proof(alias: str, device: LocalDevice, finalization: Finalization) -> dict[str, Any]:
    """The stored receipt, checked once more. PreservationUnproven."""
    what = missing_proof(alias, device, finalization, finalization.receipt)
    if what is not None:
        raise PreservationUnproven(device=device.name, what=what)
    return dict(finalization.receipt or {})


def missing_proof(alias: str, device: LocalDevice, finalization: Finalization, receipt: Any) -> str | None:
    """What a receipt lacks to be the proof; None when it is."""
    if not device.server_key or not is_signed_by(RECEIPT, receipt, device.server_key):
        return "there is no receipt signed with the key of the server this device enrolled with"
    line = mark_line(alias, finalization)
    said = tuple(receipt.get(name) for name in ("kind", "device", "epoch"))
    if line.batch_number is None or said != (APPLIED, device.name, line.batch_epoch):
        return "the receipt speaks of other batches"
    if type(receipt.get("number")) is not int or receipt["number"] < line.batch_number:
        return "the receipt ends before the mark"
    own = OutgoingBatch.objects.using(alias).filter(device=device, epoch=line.batch_epoch, number=receipt["number"])
    if any(known != receipt.get("hash") for known in own.values_list("hash", flat=True)):
        return "the receipt speaks of another batch of this number"
    told = outcome_in(receipt, finalization.mark_id)
    if told is None:
        return "the receipt does not tell of the mark"
    if told.get("ok") is not True:
        return str(told.get("text") or "the server set the mark aside")[:500]
    mark = mark_of(finalization)
    if (told.get("count"), told.get("sha256")) != (mark.count, mark.sha256):
        return "the server preserved other records than were marked"
    return None


def outcome_in(receipt: Any, mark_id: str) -> dict[str, Any] | None:
    """What a receipt tells of one mark."""
    told = receipt.get("preserved") if isinstance(receipt, dict) else None
    found = [one for one in told if isinstance(one, dict) and one.get("mark") == mark_id] if type(told) is list else []
    return found[-1] if found else None


def waits_for(alias: str, finalization: Finalization) -> str:
    """Why there is no proof yet, in words."""
    device = finalization.device
    if mark_line(alias, finalization).batch_number is None:
        return "the mark has not been sent yet"
    for receipt in stored_receipts(alias, device):
        if outcome_in(receipt, finalization.mark_id) is not None:
            return missing_proof(alias, device, finalization, receipt) or "it has, and the receipt is here"
    return "its receipt has not come"
