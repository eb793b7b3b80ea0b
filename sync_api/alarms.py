"""Alarms: what an operator must look at."""

from __future__ import annotations

from typing import Any

from django.db.models import F
from django.utils import timezone

from audit.models import Device
from sync_api.models import Alarm


def raise_alarm(alias: str, device: Device, code: str, text: str, facts: dict[str, Any]) -> None:
    """Tell the operator; the same open alarm only counts again. Call inside a transaction."""
    now = timezone.now()
    alarms = Alarm.objects.using(alias)
    again = alarms.filter(device=device, code=code, facts=facts, resolved_at=None)
    if not again.update(times=F("times") + 1, last_raised_at=now):
        alarms.create(device=device, code=code, text=text, facts=facts, raised_at=now, last_raised_at=now)
