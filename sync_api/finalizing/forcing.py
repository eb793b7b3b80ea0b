"""On a server: a device that will not come back, or not soon. Its records are preserved as they are here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from django.utils import timezone

from audit.clock import next_moment
from audit.engine import preserve_device
from audit.fields import from_microseconds
from audit.mirror.columns import NOW
from audit.models import Device
from sync_api.conf import alias_settings
from sync_api.exceptions import DeviceNotRegistered, ForceReasonMissing
from sync_api.models import IncomingBatch, IncomingEpoch, IncomingEra, IncomingTransaction
from sync_api.transactions import immediate
from sync_api.uploads.opening import roll_back_open
from sync_api.wire.marks import MARK, MARK_LABEL


@dataclass(frozen=True, slots=True)
class Forced:
    """What was preserved: the era, and the number of current records by model label."""

    device: str
    era: str
    records: dict[str, int]


def force_finalize(alias: str, name: str, *, reason: str, by: str = "") -> Forced:
    """Preserve the NOW records of a device without its word, for a reason that is kept with its era.

    What still arrives of the device's present era, and what is parked of it, lands in the preserved era. The device's
    own next era begins NOW again. Opens its own transaction; waits for a consumer that is at the device. Done again,
    it preserves what came since. An upload that the device has open is rolled back first: its rows were compared with
    records that now leave. DeviceNotRegistered, ForceReasonMissing.
    """
    if not reason.strip():
        raise ForceReasonMissing(device=name)
    with immediate(alias):
        device = Device.objects.using(alias).select_for_update(no_key=True).filter(name=name).first()
        if device is None:
            raise DeviceNotRegistered(device=name, alias=alias)
        by = by or alias_settings(alias).device
        roll_back_open(alias, device, why="the server preserved the device's records meanwhile")
        era = from_microseconds(next_moment(alias)).isoformat()
        changes = preserve_device(alias, device, era, by, True)
        close(alias, device, era, reason=reason.strip(), by=by, count=sum(change.preserved for change in changes))
    return Forced(name, era, {change.model: change.preserved for change in changes})


def close(alias: str, device: Device, era: str, *, reason: str, by: str, count: int) -> None:
    """Give the device's eras that are open the name `era`, and note why with the last of them.

    An era after a mark of which nothing is consumed yet gets a name of its own: its keys may have begun anew.
    """
    now = timezone.now()
    last: IncomingEra | None = None
    for epoch in IncomingEpoch.objects.using(alias).filter(device=device, era=NOW).order_by("ordinal"):
        consumed = IncomingBatch.objects.using(alias).filter(epoch=epoch, number__lte=epoch.consumed_number)
        applied = {ordinal or 0 for ordinal in consumed.order_by().values_list("header__era", flat=True).distinct()}
        for ordinal in begun_eras(alias, epoch):
            row, _ = IncomingEra.objects.using(alias).get_or_create(epoch=epoch, ordinal=ordinal)
            if row.era == NOW:
                is_another = last is not None and last.epoch_id == epoch.pk and ordinal not in applied
                row.era, row.ended_at = from_microseconds(next_moment(alias)).isoformat() if is_another else era, now
                row.save(using=alias, update_fields=["era", "ended_at"])
                last = last if is_another else row
    if last is not None:
        told: dict[str, Any] = {"mark": "", "ok": True, "era": era, "forced_by": by, "reason": reason, "count": count}
        last.preserved = [*(last.preserved or []), {**told, "at": now.isoformat()}]
        last.save(using=alias, update_fields=["preserved"])


def begun_eras(alias: str, epoch: IncomingEpoch) -> list[int]:
    """The numbers of the eras that the epoch's batches speak of; after a mark that ended one, the next has begun."""
    batches = IncomingBatch.objects.using(alias).filter(epoch=epoch).exclude(state=IncomingBatch.State.FORK)
    ordinals = {ordinal or 0 for ordinal in batches.order_by().values_list("header__era", flat=True).distinct()}
    marks = IncomingTransaction.objects.using(alias).filter(batch__epoch=epoch, action=MARK, tx_name=MARK_LABEL)
    for ordinal, payload in marks.values_list("batch__header__era", "payload"):
        if is_whole(payload):
            ordinals.add((ordinal or 0) + 1)
    return sorted(ordinals)


def is_whole(payload: str | None) -> bool:
    values = orjson.loads(payload or "null")
    return type(values) is list and values[1:2] == [False]
