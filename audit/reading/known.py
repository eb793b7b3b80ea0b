"""Until when each device is known."""

from __future__ import annotations

from datetime import datetime

from audit.models import Device


def known_until(using: str) -> dict[str, datetime | None]:
    """By device name: the captured moment of its last change in the mirror, None before the first.

    An `as_of` on the captured timeline is complete for a device up to here, unless units are parked; what the
    device did later may still arrive.
    """
    devices = Device.objects.using(using).order_by("name").only("name", "known_until")
    return {device.name: device.known_until for device in devices}
