"""Durations, moments and sizes as people say them."""

from __future__ import annotations

from datetime import datetime

MINUTE, HOUR, DAY = 60, 3_600, 86_400


def duration(seconds: float) -> str:
    """`45 s`, `20 min`, `2 h`, `3 days`."""
    seconds = abs(seconds)
    if seconds < 1.5 * MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 1.5 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    if seconds < 1.5 * DAY:
        return f"{seconds / HOUR:.0f} h"
    return f"{seconds / DAY:.0f} days"


def since(moment: datetime, now: datetime) -> str:
    """`since 09:30` on the same day, `since Monday` within a week, else `since 2026-03-01`. In UTC."""
    days = (now.date() - moment.date()).days
    if days == 0:
        return f"since {moment:%H:%M}"
    return f"since {moment:%A}" if 0 < days < 7 else f"since {moment:%Y-%m-%d}"


def records(number: int) -> str:
    return f"{number:,} record" if number == 1 else f"{number:,} records"


def size(bytes_: int) -> str:
    mebibytes = bytes_ / 1024 / 1024
    return f"{mebibytes:,.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:,.0f} GiB"
