"""Custody: who had which batch, from whom it came, and to whom it went. Each word is signed by who says it.

The statements travel with the receipts. So the laptop and every server on the way know what a middleman took, also
when its machine never arrives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from sync_api.conf import alias_settings
from sync_api.models import CarriedBatch, IncomingBatch, OutgoingBatch, Statement
from sync_api.transactions import immediate
from sync_api.trust import make_statement
from sync_api.trust.taking import forget_custody, keep

RECEIVED = "received"
HANDED_OVER = "handed_over"


@dataclass(frozen=True, slots=True)
class Custody:
    """What one signer says of the batches `first` to `number` of a device's epoch.

    `arrived` says whether they are known here to have reached a server.
    """

    device: str
    epoch: str
    first: int
    number: int
    signer: str
    action: str
    other: str
    via: str
    at: datetime
    arrived: bool


def note_custody(alias: str, batch: CarriedBatch, action: str, *, other: str, via: str) -> None:
    """Keep this installation's signed word that it received a batch or handed it over. Call inside a transaction."""
    facts = {"epoch": batch.epoch, "number": batch.number, "hash": batch.hash, "action": action}
    keep(alias, make_statement(alias, "custody", batch.device, **facts, other=other, via=via), via="own")
    forget_custody(alias, batch.device)


def note_handing_over(alias: str, *, device: str, epoch: str, number: int, hash_hex: str, other: str) -> None:
    """The same word of a server that hands on what it holds. Opens its own transaction."""
    facts = {"epoch": epoch, "number": number, "hash": hash_hex, "action": HANDED_OVER}
    with immediate(alias):
        keep(alias, make_statement(alias, "custody", device, **facts, other=other, via="push"), via="own")
        forget_custody(alias, device)


def own_custody(alias: str, device: str, hashes: set[str]) -> list[dict[str, Any]]:
    """What this installation said of its custody of these batches, in the order in which it was said. Reads only."""
    own = alias_settings(alias).device
    statements = Statement.objects.using(alias).filter(kind=Statement.Kind.CUSTODY, signer=own, device=device)
    found = statements.order_by("pk").values_list("facts", flat=True)
    return [facts for facts in found if facts["hash"] in hashes]


def handed_over(alias: str, device: str, other: str) -> set[str]:
    """The hashes of the batches of a device that this installation handed over to `other`."""
    own = alias_settings(alias).device
    statements = Statement.objects.using(alias).filter(kind=Statement.Kind.CUSTODY, signer=own, device=device)
    return {
        facts["hash"]
        for facts in statements.values_list("facts", flat=True)
        if (facts["action"], facts["other"]) == (HANDED_OVER, other)
    }


def custody(alias: str, *, device: str = "", only_missing: bool = False) -> list[Custody]:
    """All that is known here of custody, in runs of batches, in the order of devices and batches. Reads only."""
    statements = Statement.objects.using(alias).filter(kind=Statement.Kind.CUSTODY)
    if device:
        statements = statements.filter(device=device)
    arrived = arrived_hashes(alias)
    entries = [_entry(facts, arrived) for facts in statements.values_list("facts", flat=True)]
    if only_missing:
        entries = [entry for entry in entries if not entry.arrived]
    return list(_runs(sorted(entries, key=lambda one: (*_run_key(one), one.number, one.at))))


def custody_facts(entry: Custody) -> dict[str, Any]:
    """For `--json`."""
    return asdict(entry)


def arrived_hashes(alias: str) -> set[str]:
    """The hashes of the batches that are held by a server, as far as it is known here."""
    incoming = IncomingBatch.objects.using(alias).filter(state__in=["held", "consumed"])
    if alias_settings(alias).role != "server":
        incoming = incoming.none()  # an inspecting relay's own copy
    outgoing = OutgoingBatch.objects.using(alias).filter(receipts__has_key="held")
    carried = CarriedBatch.objects.using(alias).filter(state=CarriedBatch.State.DELIVERED)
    return {
        *incoming.values_list("hash", flat=True),
        *outgoing.values_list("hash", flat=True),
        *carried.values_list("hash", flat=True),
    }


def _entry(facts: dict[str, Any], arrived: set[str]) -> Custody:
    number = int(facts["number"])
    return Custody(
        device=facts["device"],
        epoch=facts["epoch"],
        first=number,
        number=number,
        signer=facts["signer"],
        action=facts["action"],
        other=facts["other"],
        via=facts["via"],
        at=datetime.fromisoformat(facts["at"]),
        arrived=facts["hash"] in arrived,
    )


def _run_key(entry: Custody) -> tuple[Any, ...]:
    return entry.device, entry.epoch, entry.signer, entry.action, entry.other, entry.via, entry.arrived


def _runs(entries: Iterable[Custody]) -> Iterator[Custody]:
    """Neighbouring batches in one entry; `at` is the moment of the last."""
    for _, group in groupby(entries, key=_run_key):
        run: Custody | None = None
        for entry in group:
            if run is not None and entry.number <= run.number + 1:
                run = Custody(**{**asdict(entry), "first": run.first})
                continue
            if run is not None:
                yield run
            run = entry
        if run is not None:
            yield run
