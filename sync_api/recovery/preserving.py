"""Finalizes on the server what a restored device no longer has, so that its keys may begin anew."""

from __future__ import annotations

from django.utils import timezone

from audit.clock import next_moment
from audit.engine import preserve_device
from audit.fields import from_microseconds
from audit.models import Device
from sync_api.conf import alias_settings
from sync_api.exceptions import DeviceNotRegistered, MissingReason
from sync_api.models import Alarm
from sync_api.recovery.differences import Differences, device_differences
from sync_api.transactions import immediate

CODE = "missing_preserved"


def preserve_missing(alias: str, name: str, *, reason: str, by: str = "") -> Differences:
    """Preserve the device's records that its newest epoch does not know, with a reason; returns what they were.

    They leave the era NOW with all their versions and stay readable. Records that the device has made since under the
    same keys, parked as `key_in_use`, can then be applied by `parked retry`. Opens its own transaction.
    DeviceNotRegistered, MissingReason.
    """
    if not reason.strip():
        raise MissingReason(device=name)
    by = by or alias_settings(alias).device
    with immediate(alias):
        device = Device.objects.using(alias).select_for_update(no_key=True).filter(name=name).first()
        if device is None:
            raise DeviceNotRegistered(device=name, alias=alias)
        found = device_differences(alias, name)
        if found.keys:
            era = from_microseconds(next_moment(alias)).isoformat()
            preserve_device(alias, device, era, by, True, keys=found.keys)
            now = timezone.now()
            Alarm.objects.using(alias).create(
                device=device,
                code=CODE,
                text=f"Records that '{name}' no longer has were preserved: {reason.strip()}",
                facts={"era": era, "counts": found.counts},
                raised_at=now,
                last_raised_at=now,
                resolved_at=now,
                resolved_by=by,
            )
    return found
