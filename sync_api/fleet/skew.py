"""How far a device's clock is off: the moment at which its word arrived, minus the moment that its clock claimed.

Measured only where the device itself brought its word, so that the time on the road does not count. It is kept and
shown; nothing is ever ordered by it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sync_api.models import Statement

DIRECT = ("heartbeat", "by pull", "by router")
"""Roads on which a device brings its own word: `Statement.via` is then "its name, road"."""


def is_direct(statement: Statement) -> bool:
    return statement.via in [f"{statement.device}, {road}" for road in DIRECT]


def moment(text: Any) -> datetime | None:
    """An ISO moment with its zone; None for anything else, as it comes from outside."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo is not None else None


def skew_seconds(statement: Statement) -> float | None:
    """Seconds by which the clock was ahead (behind: less than 0) of the clock here; None where it is not known."""
    claimed = moment(statement.facts.get("clock"))
    if claimed is None or not is_direct(statement):
        return None
    return (claimed - statement.received_at).total_seconds()


def skews_seen(alias: str, *, most: int) -> dict[str, list[Any]]:
    """By device, of those met last: when its word came, and the seconds by which its clock was ahead."""
    heard = Statement.objects.using(alias).filter(kind=Statement.Kind.HEARTBEAT).order_by("-received_at")
    seen: dict[str, list[Any]] = {}
    for statement in heard[: most * 2]:
        skew = skew_seconds(statement)
        if skew is not None and len(seen) < most:
            seen[statement.device] = [statement.received_at.isoformat(timespec="seconds"), round(skew)]
    return seen
