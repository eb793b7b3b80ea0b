"""The relay's own receipts, and what the servers' receipts mean for the batches that it carries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils import timezone

from sync_api.models import CarriedBatch, Statement
from sync_api.relay.chains import carried_chain, linked_back
from sync_api.relay.custody import HANDED_OVER, note_custody
from sync_api.transactions import immediate
from sync_api.trust import make_statement

State = CarriedBatch.State


def receipt_for_run(alias: str, batch: CarriedBatch, *, first: int) -> dict[str, Any]:
    """This relay's signed word that it holds the batches `first` to `batch`, linked by their hashes."""
    return make_statement(
        alias,
        "held",
        batch.device,
        epoch=batch.epoch,
        first=first,
        number=batch.number,
        hash=batch.hash,
        at=batch.received_at.isoformat(),
    )


def receipts_for(alias: str, device: str, hashes: Iterable[str]) -> list[dict[str, Any]]:
    """One receipt for each run of linked batches among `hashes`. Reads only."""
    batches = CarriedBatch.objects.using(alias).filter(device=device, hash__in=list(hashes)).defer("content")
    left = {(batch.epoch, batch.hash): batch for batch in batches.order_by("epoch", "-number")}
    receipts = []
    while left:
        (epoch, last), _ = next(iter(left.items()))
        run = linked_back((batch for (own, _), batch in left.items() if own == epoch), last)
        for batch in run:
            del left[batch.epoch, batch.hash]
        receipts.append(receipt_for_run(alias, run[0], first=run[-1].number))
    return receipts


def mark_delivered(alias: str, batch: CarriedBatch, receipt: dict[str, Any], *, handed_to: str) -> None:
    """A server's receipt is about this very batch: it is delivered. Opens its own transaction; may run twice.

    `handed_to` is empty where it arrived there by another road.
    """
    with immediate(alias):
        changed = (
            CarriedBatch.objects.using(alias)
            .filter(pk=batch.pk)
            .exclude(state=State.DELIVERED, handed_to=handed_to)
            .update(state=State.DELIVERED, refusal="", waits_for=None, receipt=receipt, **_handed(handed_to))
        )
        if changed and handed_to and batch.handed_to != handed_to:
            note_custody(alias, batch, HANDED_OVER, other=handed_to, via="push")


def mark_handed(alias: str, batch: CarriedBatch, *, handed_to: str, waits_for: int | None = None) -> None:
    """Another relay took it, or a server keeps it behind a gap: it stays to be delivered. Opens its own transaction."""
    with immediate(alias):
        changed = (
            CarriedBatch.objects.using(alias)
            .filter(pk=batch.pk)
            .exclude(handed_to=handed_to, waits_for=waits_for)
            .update(refusal="", waits_for=waits_for, **_handed(handed_to))
        )
        if changed and batch.handed_to != handed_to:
            note_custody(alias, batch, HANDED_OVER, other=handed_to, via="push")


def mark_refused(alias: str, batch: CarriedBatch, code: str) -> None:
    """The server refused it, with its code. It stays here and is offered again. One statement."""
    CarriedBatch.objects.using(alias).filter(pk=batch.pk).update(state=State.REFUSED, refusal=code)


def _handed(handed_to: str) -> dict[str, Any]:
    return {"handed_to": handed_to, "handed_at": timezone.now()} if handed_to else {}


def apply_receipts(alias: str) -> int:
    """Mark what servers' receipts, come by any road, cover; returns how many batches. May run twice.

    Only batches linked by their hashes to the receipt's count: another version of a number stays to be handed on.
    """
    marked = 0
    for receipt in servers_receipts(alias, "held"):
        for batch in _covered(alias, receipt):
            if batch.state != State.DELIVERED:
                mark_delivered(alias, batch, receipt, handed_to="")
                marked += 1
    return marked


def durable_batches(alias: str) -> list[CarriedBatch]:
    """The carried batches that a server's durable receipt covers, without their bytes. Reads only."""
    found: dict[int, CarriedBatch] = {}
    for receipt in servers_receipts(alias, "durable"):
        found.update((batch.pk, batch) for batch in _covered(alias, receipt))
        delivered = CarriedBatch.objects.using(alias).filter(
            device=receipt["device"], epoch=receipt["epoch"], number__lte=receipt["number"], state=State.DELIVERED
        )
        for batch in delivered.defer("content"):
            if batch.receipt and batch.receipt["signer"] == receipt["signer"]:
                found[batch.pk] = batch
    return list(found.values())


def servers_receipts(alias: str, kind: str) -> list[dict[str, Any]]:
    """The latest receipts of that kind that servers gave; a relay's own kind of `held` is not among them."""
    devices = CarriedBatch.objects.using(alias).order_by().values("device").distinct()
    statements = Statement.objects.using(alias).filter(kind=kind, device__in=devices)
    return [facts for facts in statements.values_list("facts", flat=True) if "first" not in facts]


def _covered(alias: str, receipt: dict[str, Any]) -> list[CarriedBatch]:
    return carried_chain(
        alias,
        device=receipt["device"],
        epoch=receipt["epoch"],
        number=receipt["number"],
        hash_hex=receipt["hash"],
    )
