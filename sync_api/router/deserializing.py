"""The consumer behind the seed's door: the same code, with a check of the filter and a message per transaction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from django.db.models import Count, Max, Q, QuerySet

from audit.models import Device
from sync_api.conf import alias_settings, host_name
from sync_api.deserializer import Bound, consume, retry_parked
from sync_api.exceptions import (
    ConsumeStopped,
    DeviceNotRegistered,
    FilterSkipsEarlier,
    FilterSplitsUnit,
    NotAServer,
    OwnHostRefused,
)
from sync_api.models import IncomingBatch, IncomingTransaction
from sync_api.router.picking import picked_by

MESSAGES_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class TransactionMessage:
    """What became of one transaction. `inserted`, `updated` and `deleted` are 1 or 0; `error` says why it waits."""

    index: int
    total: int
    inserted: int
    updated: int
    deleted: int
    producer: str
    tx_name: str
    tx_pk: str
    success: bool
    error: str


class BatchChoice(NamedTuple):
    """One batch with transactions to apply: how many there are, how many are chosen, up to which sequence."""

    device: str
    epoch: int
    number: int
    batch_id: int
    pending: int
    chosen: int
    until: int


DEVICE = "batch__epoch__device__name"
ORDER = (DEVICE, "batch__epoch__ordinal", "batch__number", "sequence")


def deserialize(
    queryset: QuerySet[Any], custom_device: Device | str | None, *, check_hostname: bool
) -> list[TransactionMessage]:
    """Apply the transactions of `queryset`; see the queryset's method for promise and errors."""
    alias = queryset.db
    committed_by = server_name(alias, custom_device)
    open_rows = IncomingTransaction.objects.using(alias).filter(is_consumed=False, is_ignored=False)
    picked = open_rows.filter(pk__in=picked_by(queryset))
    if check_hostname:
        refuse_own_host(picked)
    held = Q(batch__state=IncomingBatch.State.HELD, is_error=False)
    bounds = bounds_of(open_rows.filter(held), picked.filter(held))
    retried = set(picked.filter(is_error=True).order_by().values_list(DEVICE, flat=True).distinct())
    ids = list(picked.order_by(*ORDER).values_list("pk", flat=True))
    errors: list[str] = []
    for device in sorted(retried):
        retry_parked(alias, device=device, committed_by=committed_by)
    for device, until in bounds.items():
        errors += consume(alias, device, retry=False, until=until, committed_by=committed_by).errors
    if errors:
        raise ConsumeStopped(errors=errors)
    return list(messages(alias, ids))


def server_name(alias: str, device: Device | str | None) -> str:
    """The name of the server that applies. DeviceNotRegistered, NotAServer."""
    own = alias_settings(alias)
    if device is None or device == own.device:
        name, role = own.device or alias, own.role
    elif isinstance(device, Device):
        name, role = device.name, device.role
    else:
        found = Device.objects.using(alias).filter(name=device).first()
        if found is None:
            raise DeviceNotRegistered(device=device, alias=alias)
        name, role = found.name, found.role
    if role != Device.Role.SERVER:
        raise NotAServer(device=name, role=role)
    return name


def refuse_own_host(chosen: QuerySet[Any]) -> None:
    """A producer reads device/host/database."""
    here = host_name()
    for producer in chosen.order_by().values_list("producer", flat=True).distinct():
        if producer.split("/")[1:2] == [here]:
            raise OwnHostRefused(producer=producer, host=here)


def bounds_of(pending: QuerySet[Any], chosen: QuerySet[Any]) -> dict[str, Bound]:
    """By device: where to stop. FilterSplitsUnit, FilterSkipsEarlier."""
    bounds: dict[str, Bound] = {}
    for device, batches in groupby(choices(pending, chosen), attrgetter("device")):
        ended = None
        for batch in batches:
            inside = pending.filter(batch=batch.batch_id)
            if ended is not None and batch.chosen:
                raise earlier_error(ended.exclude(pk__in=chosen.values("pk")))
            if batch.chosen < batch.pending:
                ended = inside
            if batch.chosen:
                check_beginning(inside, chosen.filter(batch=batch.batch_id), batch)
                bounds[device] = Bound(batch.epoch, batch.number, batch.until)
    return bounds


def choices(pending: QuerySet[Any], chosen: QuerySet[Any]) -> Iterator[BatchChoice]:
    counted = chosen.order_by().values_list("batch").annotate(count=Count("pk"), until=Max("sequence"))
    by_batch = {batch: (count, until) for batch, count, until in counted}
    names = (*ORDER[:3], "batch")
    for device, epoch, number, batch, count in pending.values_list(*names).annotate(count=Count("pk")).order_by(*names):
        yield BatchChoice(device, epoch, number, batch, count, *by_batch.get(batch, (0, 0)))


def check_beginning(pending: QuerySet[Any], chosen: QuerySet[Any], batch: BatchChoice) -> None:
    """What is chosen of a batch must be its first units, whole."""
    if batch.chosen == batch.pending:
        return
    left = pending.exclude(pk__in=chosen.values("pk"))
    split = left.filter(unit__in=chosen.order_by().values("unit")).order_by("sequence").first()
    if split is not None:
        raise FilterSplitsUnit(tx_name=split.tx_name, tx_pk=split.tx_pk)
    skipped = left.filter(sequence__lt=batch.until)
    if skipped.exists():
        raise earlier_error(skipped)


def earlier_error(skipped: QuerySet[Any]) -> FilterSkipsEarlier:
    first = skipped.order_by("sequence")[0]
    return FilterSkipsEarlier(tx_name=first.tx_name, tx_pk=first.tx_pk)


def messages(alias: str, ids: list[int]) -> Iterator[TransactionMessage]:
    total = len(ids)
    for begin in range(0, total, MESSAGES_AT_ONCE):
        part = ids[begin : begin + MESSAGES_AT_ONCE]
        rows = IncomingTransaction.objects.using(alias).defer("payload").in_bulk(part)
        for index, pk in enumerate(part, begin + 1):
            row = rows[pk]
            done = row.is_consumed
            yield TransactionMessage(
                index=index,
                total=total,
                inserted=int(done and row.action == "I"),
                updated=int(done and row.action == "U"),
                deleted=int(done and row.action == "D"),
                producer=row.producer,
                tx_name=row.tx_name,
                tx_pk=row.tx_pk,
                success=done,
                error=row.error or "",
            )
