"""Erasures in the simulation: what can be erased, and what must then be nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import connections

from audit.erasure import lineages
from audit.mirror.columns import NOW
from audit.mirror.tables import mirror_tables, table_for
from audit.models import Device
from sync_api.erasing.orders import ordered_lines
from sync_api.models import CarriedBatch, IncomingBatch, IncomingTransaction, OutgoingBatch, Statement
from sync_api.simulation.computers import Computer
from sync_api.simulation.truth import key_text
from sync_api.wire.chain import ERASED_MARK
from sync_api.wire.format import decode
from sync_api.wire.marks import MARK

if TYPE_CHECKING:
    from sync_api.simulation.world import World

TELLING = re.compile(r"[A-Za-z0-9 ._-]{8,}")
"""Shorter texts may stand anywhere by chance; with other signs they look otherwise in JSON."""


def finalized_records(alias: str) -> list[tuple[str, str, str]]:
    """(device, label, key) of the records that no device holds any more and that are not erased."""
    found = set()
    for table in mirror_tables():
        rows = table.mirror.objects.using(alias).filter(mirror_erased=None).exclude(mirror_era=NOW)
        for device, key in rows.values_list("mirror_device__name", table.key):
            found.add((device, table.label, key_text(key)))
        held = table.mirror.objects.using(alias).filter(mirror_era=NOW)
        found -= {
            (device, table.label, key_text(key)) for device, key in held.values_list("mirror_device__name", table.key)
        }
    return sorted(found)


def texts_of(alias: str, device: str, label: str, key: str) -> set[str]:
    """The texts that the record ever held."""
    model: Any = apps.get_model(label)
    table = table_for(model)
    owner = Device.objects.using(alias).get(name=device)
    pks = [pk for one in lineages(alias, table, owner, table.canonical_key(key)) for pk in one.pks]
    names = [name for name in table.columns if name != table.key]
    rows = table.mirror.objects.using(alias).filter(mirror_pk__in=pks).values_list(*names) if names else []
    return {value for row in rows for value in row if isinstance(value, str) and TELLING.fullmatch(value)}


def only_there(alias: str, texts: set[str]) -> frozenset[str]:
    """Those of the texts that no received transaction holds now."""
    rest = IncomingTransaction.objects.using(alias).exclude(payload=None).values_list("payload", flat=True)
    left = set(texts)
    for payload in rest:
        left = {text for text in left if text not in payload}
    return frozenset(left)


def order_digests(alias: str) -> frozenset[str]:
    orders = Statement.objects.using(alias).filter(kind=Statement.Kind.ERASURE)
    return frozenset(orders.values_list("digest", flat=True))


def erased_records(alias: str, device: Device) -> set[tuple[str, str]]:
    """The records of a device of which a version was erased."""
    return {
        (table.label, key_text(key))
        for table in mirror_tables()
        for key in table.mirror.objects.using(alias)
        .filter(mirror_device=device, mirror_erased=True)
        .values_list(table.key, flat=True)
    }


def erasure_problems(world: World) -> Iterator[str]:
    """On every computer, the orders that it knows are followed; what the server erased, no middleman has; and no file
    of theirs holds a text that only an erased record held."""
    for computer in world.computers.values():
        for problem in unfollowed(computer, computer.alias):
            yield f"{computer.name}: {problem}"
    for middleman in world.relays():
        for problem in unfollowed(middleman, world.server.alias):
            yield f"{middleman.name}: {problem}"
    yield from emptied_without_order(world.server.alias)
    known = order_digests(world.server.alias)
    texts = {text for orders, texts in world.erased if orders <= known for text in texts}
    if texts:
        texts = set(only_there(world.server.alias, texts))
        for computer in (world.server, *world.relays()):
            for text in sorted(texts):
                if text.encode() in file_of(computer):
                    yield f"{computer.name}: a text of an erased record is in its file"


def unfollowed(computer: Computer, knows: str) -> Iterator[str]:
    """Batches on the computer with lines that orders known in database `knows` name and that are still there."""
    orders = Statement.objects.using(knows).filter(kind=Statement.Kind.ERASURE)
    for device, epoch, number in set(orders.order_by().values_list("device", "epoch", "number")):
        place: dict[str, Any] = {"device": device, "epoch": epoch, "number": number}
        carried = CarriedBatch.objects.using(computer.alias).filter(**place)
        own = OutgoingBatch.objects.using(computer.alias).filter(device__name=device, epoch=epoch, number=number)
        held = IncomingBatch.objects.using(computer.alias).filter(
            epoch__device__name=device, epoch__epoch=epoch, number=number
        )
        for rows in (carried, own, held):
            for hash_hex, content in rows.values_list("hash", "content"):
                lines = decode(bytes(content)).lines
                for index in ordered_lines(knows, **place, hash_hex=hash_hex):
                    if lines[index][:1] != ERASED_MARK:
                        yield f"line {index + 1} of batch {number} of {device} is ordered to be erased, and is there"


def emptied_without_order(alias: str) -> Iterator[str]:
    lines = IncomingTransaction.objects.using(alias).filter(payload=None).exclude(action=MARK)
    for line in lines.select_related("batch__epoch__device"):
        batch = line.batch
        place: dict[str, Any] = {"device": batch.epoch.device.name, "epoch": batch.epoch.epoch, "number": batch.number}
        if line.sequence - batch.first_sequence not in ordered_lines(alias, **place, hash_hex=batch.hash):
            yield f"line {line.sequence} of batch {batch.number} has no payload, and no order says so"


def file_of(computer: Computer) -> bytes:
    """The database's bytes, after VACUUM: older copies in free pages are its business."""
    with computer.at_work():
        connections[computer.alias].cursor().execute("VACUUM")
    computer.close()
    return computer.file.read_bytes()
