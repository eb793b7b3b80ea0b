"""Orders to erase, as this installation knows them: what they say of a batch, and carrying them out on what is stored.

An order names a batch by its hash and the lines of it; only servers whose key is pinned here can give one
(`sync_api.trust.verifying`). Whoever has the batch, in whatever role, replaces these lines by their hashes, empties
what it had unpacked of them, and says so in a signed custody statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import apps
from django.db.models import Model, QuerySet

from audit.erasure import empty_versions, lineages
from audit.exceptions import NotMirrored
from audit.mirror.tables import MirrorTable, table_for
from audit.models import Device, Source
from sync_api.models import (
    CarriedBatch,
    DeviceCredential,
    IncomingBatch,
    IncomingTransaction,
    OutgoingBatch,
    OutgoingTransaction,
    Statement,
)
from sync_api.wire.chain import ERASED_MARK
from sync_api.wire.erasing import ErasedLine, ErasedLines, erase_lines
from sync_api.wire.format import Envelope, decode
from sync_api.wire.sealed_payloads import SEALED_KEY


def orders_about(alias: str, *, device: str, epoch: str, number: int) -> QuerySet[Statement]:
    return Statement.objects.using(alias).filter(kind=Statement.Kind.ERASURE, device=device, epoch=epoch, number=number)


def ordered_lines(alias: str, *, device: str, epoch: str, number: int, hash_hex: str) -> ErasedLines:
    """The lines of one batch that orders known here name. One statement."""
    orders = orders_about(alias, device=device, epoch=epoch, number=number).values_list("facts", flat=True)
    lines = (ErasedLine(*line) for facts in orders if facts["hash"] == hash_hex for line in facts["lines"])
    return {line.place: line for line in lines}


def proven_lines(alias: str, lines: Sequence[bytes], **batch: Any) -> ErasedLines:
    """The same for a batch that may have erased lines; asks the database only where one is."""
    return ordered_lines(alias, **batch) if any(line[:1] == ERASED_MARK for line in lines) else {}


def without_ordered(alias: str, content: bytes, envelope: Envelope) -> tuple[bytes, Envelope]:
    """A batch that just came, with the lines erased that are ordered to be: by another road they were kept.

    Call while the device is locked: an order that comes now finds the stored batch.
    """
    header = envelope.header
    facts = {"device": header["device"], "epoch": header["epoch"], "number": header["number"]}
    lines = ordered_lines(alias, **facts, hash_hex=envelope.hash)
    wanted = [index for index in lines if index < len(envelope.lines) and envelope.lines[index][:1] != ERASED_MARK]
    if not wanted:
        return content, envelope
    erased = erase_lines(content, wanted)
    return erased, decode(erased)


def carry_out(alias: str, order: dict[str, Any]) -> bool:
    """Erase the ordered lines wherever they are stored here; whether the batch is here. May be repeated.

    Call inside a transaction. Takes the device's locks, as accepting does.
    """
    name = order["device"]
    credentials = DeviceCredential.objects.using(alias).select_for_update(of=("self",), no_key=True)
    list(credentials.filter(device__name=name).order_by("pk"))
    list(Device.objects.using(alias).select_for_update(no_key=True).filter(name=name))
    lines = [ErasedLine(*line) for line in order["lines"]]
    place = {"number": order["number"], "hash": order["hash"]}
    carried = CarriedBatch.objects.using(alias).filter(device=name, epoch=order["epoch"], **place)
    held = IncomingBatch.objects.using(alias).filter(epoch__device__name=name, epoch__epoch=order["epoch"], **place)
    own = OutgoingBatch.objects.using(alias).filter(device__name=name, epoch=order["epoch"], **place)
    found: list[bool] = [rewrite(batch, lines) for rows in (carried, held, own) for batch in rows]
    for batch in held.select_related("epoch__device").defer("content", "header"):
        empty_received(alias, batch, lines)
        empty_mirrored(alias, batch, order, lines)
    if own.exists():
        forget_log(alias, order, lines)
    return bool(found)


def rewrite(batch: Any, lines: Iterable[ErasedLine]) -> bool:
    """The stored bytes of a carried, incoming or outgoing batch, with these lines erased."""
    content = bytes(batch.content)
    erased = erase_lines(content, [line.place for line in lines])
    if erased != content:
        batch.content, batch.size = erased, len(erased)
        batch.save(using=batch._state.db, update_fields=["content", "size"])
    return True


def empty_received(alias: str, batch: IncomingBatch, lines: Iterable[ErasedLine]) -> None:
    """Received transactions without their payload; key, who, when and why stay."""
    sequences = [batch.first_sequence + line.place for line in lines]
    rows = IncomingTransaction.objects.using(alias).filter(batch=batch.pk, sequence__in=sequences)
    rows.exclude(payload=None).update(payload=None)


def empty_mirrored(alias: str, batch: IncomingBatch, order: dict[str, Any], lines: Iterable[ErasedLine]) -> None:
    """The records whose versions came from these lines, here where the order's server has no mirror of its own."""
    device = batch.epoch.device
    source = Source.objects.using(alias).filter(
        device=device, kind=Source.Kind.BATCH, reference=f"{order['epoch']}/{order['number']}"
    )
    labels = dict(batch_labels(alias, batch))
    chosen: dict[MirrorTable, list[int]] = {}
    source_ids = set(source.values_list("pk", flat=True))
    for line in lines:
        table = mirrored(labels.get(line.model, ""))
        if table is None or line.key == SEALED_KEY:
            continue
        for lineage in lineages(alias, table, device, table.canonical_key(line.key)):
            rows = table.mirror.objects.using(alias).filter(mirror_pk__in=lineage.pks, mirror_source__in=source_ids)
            if not lineage.is_erased and rows.exists():
                chosen.setdefault(table, []).extend(lineage.pks)
    if chosen:
        empty_versions(alias, device, chosen, user=f"{order['by']}, by {order['signer']}", reason=order["reason"])


def batch_labels(alias: str, batch: IncomingBatch) -> list[tuple[int, str]]:
    header = IncomingBatch.objects.using(alias).values_list("header", flat=True).get(pk=batch.pk)
    return [(index, str(model["label"])) for index, model in enumerate(header["models"])]


def mirrored(label: str) -> MirrorTable | None:
    try:
        model: type[Model] = apps.get_model(label)
        return table_for(model)
    except (LookupError, ValueError, NotMirrored):
        return None


def forget_log(alias: str, order: dict[str, Any], lines: Iterable[ErasedLine]) -> None:
    """On the device itself: its log's rows of these records, where the record is not on the device any more."""
    log = OutgoingTransaction.objects.using(alias).filter(
        device=order["device"], batch_epoch=order["epoch"], batch_number=order["number"], payload__isnull=False
    )
    keys = {line.key for line in lines}
    for tx_name in log.filter(tx_pk__in=keys).order_by().values_list("tx_name", flat=True).distinct():
        gone = keys - keys_here(alias, tx_name, keys)
        log.filter(tx_name=tx_name, tx_pk__in=gone).update(payload=None)


def keys_here(alias: str, label: str, keys: set[str]) -> set[str]:
    try:
        model: Any = apps.get_model(label)
    except (LookupError, ValueError):
        return set()
    found = model._base_manager.using(alias).filter(pk__in=[model._meta.pk.to_python(key) for key in keys])
    return {key.hex if hasattr(key, "hex") else str(key) for key in found.values_list("pk", flat=True)}
