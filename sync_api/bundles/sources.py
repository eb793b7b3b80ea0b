"""Which batches a bundle takes: an installation's own, those it carries, and those it holds for a further server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import models
from django.db.models import Min

from sync_api.conf import alias_settings
from sync_api.exceptions import BatchGone
from sync_api.models import CarriedBatch, IncomingBatch, LocalDevice, OutgoingBatch, Statement, TrustedServer
from sync_api.waiting import unsettled

HELD_HERE = (IncomingBatch.State.HELD, IncomingBatch.State.CONSUMED)


@dataclass(frozen=True, slots=True)
class Source:
    """One stored batch: where its bytes are, without them."""

    table: type[models.Model]
    pk: int
    device: str
    epoch: str
    number: int
    hash: str
    size: int

    def content(self, alias: str) -> bytes:
        """The stored bytes. BatchGone when they were purged meanwhile."""
        found = self.table._default_manager.using(alias).filter(pk=self.pk).values_list("content", flat=True).first()
        if found is None:
            raise BatchGone(device=self.device, number=self.number)
        return bytes(found)


def sources(alias: str, *, devices: Iterable[str] = (), everything: bool = False, server: str = "") -> list[Source]:
    """The batches to take along, in the order of their chains. Seals nothing.

    Without `everything`, what the next server holds already is left out: for a device its home server, for a server
    `server`, or all servers it trusts. `devices`: of these alone.
    """
    own = own_batches(alias, everything=everything)
    if alias_settings(alias).role == "server":
        others = held_batches(alias, everything=everything, server=server)
    else:
        others = carried_batches(alias, everything=everything)
    wanted = set(devices)
    return [source for source in (*own, *others) if not wanted or source.device in wanted]


def own_batches(alias: str, *, everything: bool = False) -> list[Source]:
    """This installation's own sealed batches, where a server has given it a certificate."""
    device = LocalDevice.objects.using(alias).filter(name=alias_settings(alias).device).first()
    if device is None or not device.certificate:
        return []
    batches = OutgoingBatch.objects.using(alias).filter(device=device)
    return stored_sources(batches if everything else unsettled(batches))


def stored_sources(batches: models.QuerySet[OutgoingBatch]) -> list[Source]:
    """These batches of this installation, in the order of sealing."""
    facts = batches.order_by("id").values_list("pk", "device__name", "epoch", "number", "hash", "size")
    return [Source(OutgoingBatch, *one) for one in facts]


def carried_batches(alias: str, *, everything: bool = False) -> list[Source]:
    """What a relay carries for others."""
    batches = CarriedBatch.objects.using(alias).all()
    if not everything:
        batches = batches.filter(state=CarriedBatch.State.CARRIED)
    begun = {
        (device, epoch): first
        for device, epoch, first in CarriedBatch.objects.using(alias)
        .order_by()
        .values_list("device", "epoch")
        .annotate(first=Min("id"))
    }
    facts = batches.values_list("pk", "device", "epoch", "number", "hash", "size")
    found = [Source(CarriedBatch, *one) for one in facts]
    return sorted(found, key=lambda one: (one.device, begun[one.device, one.epoch], one.number))


def held_batches(alias: str, *, everything: bool = False, server: str = "") -> list[Source]:
    """What a server holds, for a further server. What that one has signed a receipt for is left out."""
    batches = IncomingBatch.objects.using(alias).filter(state__in=HELD_HERE)
    facts = batches.order_by("epoch__device__name", "epoch__ordinal", "number").values_list(
        "pk", "epoch__device__name", "epoch__epoch", "number", "hash", "size"
    )
    found = [Source(IncomingBatch, *one) for one in facts]
    if everything:
        return found
    held = held_by_all(alias, [server] if server else further_servers(alias))
    return [one for one in found if one.number > held.get((one.device, one.epoch), 0)]


def further_servers(alias: str) -> list[str]:
    """The servers this one trusts, besides itself."""
    own = alias_settings(alias).device
    active = TrustedServer.objects.using(alias).filter(is_active=True)
    return list(active.exclude(name=own).values_list("name", flat=True))


def held_by_all(alias: str, servers: list[str]) -> dict[tuple[str, str], int]:
    """By device and epoch: up to which number all of these servers have said that they hold the chain."""
    heads: dict[tuple[str, str], dict[str, int]] = {}
    receipts = Statement.objects.using(alias).filter(kind=Statement.Kind.HELD, signer__in=servers)
    for device, epoch, signer, number in receipts.values_list("device", "epoch", "signer", "number"):
        heads.setdefault((device, epoch), {})[signer] = number
    return {place: min(by.get(name, 0) for name in servers) for place, by in heads.items()}
