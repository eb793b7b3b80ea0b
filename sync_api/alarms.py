"""Alarms: what an operator must look at."""

from __future__ import annotations

from typing import Any

from django.db.models import F
from django.utils import timezone

from audit.models import Device
from sync_api.conf import limit
from sync_api.models import Alarm


def raise_alarm(alias: str, device: Device, code: str, text: str, facts: dict[str, Any]) -> None:
    """Tell the operator; the same open alarm only counts again. Call inside a transaction.

    What alarms say comes from others. Beyond SYNC_ALARMS_OPEN_MAX open ones of a code and device, the newest counts.
    """
    now = timezone.now()
    open_alarms = Alarm.objects.using(alias).filter(device=device, code=code, resolved_at=None)
    again = {"times": F("times") + 1, "last_raised_at": now}
    if open_alarms.filter(facts=facts).update(**again):
        return
    newest = list(open_alarms.order_by("-pk").values_list("pk", flat=True)[: int(limit("SYNC_ALARMS_OPEN_MAX"))])
    if len(newest) == limit("SYNC_ALARMS_OPEN_MAX"):
        open_alarms.filter(pk=newest[0]).update(**again)
        return
    open_alarms.create(device=device, code=code, text=text, facts=facts, raised_at=now, last_raised_at=now)
