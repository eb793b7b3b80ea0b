"""What a heartbeat says of the installation that sends it.

pending             transactions recorded here that the home server has not acknowledged
oldest_pending_at   when the oldest of them was made, by this device's clock; null without one
epoch, recorded     the present epoch, and the transactions made in it so far: a server that holds fewer lacks the
                    rest, whatever road they are on
parked              units set aside on the server, as it last said; null when it never did
clock               what this device's clock shows now
versions            app, syncserver, python, database
free_disk_bytes     where the database lies
seen                on a middleman: by device, when it last had word from it and how far that one's clock was off
"""

from __future__ import annotations

import platform
import shutil
from datetime import datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connections

from audit.fields import from_microseconds
from sync_api.clock import now_in_microseconds
from sync_api.conf import alias_settings, app_version
from sync_api.fleet.skew import skews_seen
from sync_api.models import LocalDevice, Statement
from sync_api.waiting import oldest_pending_at, unsealed_transactions, waiting_transactions

SEEN_MAX = 15
"""Devices of which a middleman's heartbeat speaks: those it met last. The header has to stay small."""


def now(alias: str) -> datetime:
    """The moment by this database's clock."""
    return from_microseconds(now_in_microseconds(alias))


def heartbeat_facts(alias: str) -> dict[str, Any]:
    """The facts above, for this installation. Reads only."""
    own = alias_settings(alias)
    device = LocalDevice.objects.using(alias).filter(name=own.device).first()
    facts: dict[str, Any] = {
        "clock": now(alias).isoformat(),
        "versions": {"app": app_version()[:50], "database": database_version(alias), **software_versions()},
        "free_disk_bytes": free_disk_bytes(alias),
    }
    if device is not None:
        oldest = oldest_pending_at(alias, device)
        facts |= {
            "pending": waiting_transactions(alias),
            "oldest_pending_at": None if oldest is None else oldest.isoformat(),
            "epoch": device.epoch,
            "recorded": device.sequence + unsealed_transactions(alias, device.name),
            "parked": parked_there(alias, device),
        }
    if own.role != "client":
        facts["seen"] = skews_seen(alias, most=SEEN_MAX)
    return facts


def parked_there(alias: str, device: LocalDevice) -> int | None:
    """The home server's last word of how many units of this device it has set aside."""
    said = Statement.objects.using(alias).filter(kind="applied", device=device.name, signer=device.server_name)
    facts = said.order_by("-id").values_list("facts", flat=True).first()
    count = facts.get("parked") if isinstance(facts, dict) else None
    return count if isinstance(count, int) else None


@cache
def software_versions() -> dict[str, str]:
    try:
        own = metadata.version("syncserver")
    except metadata.PackageNotFoundError:
        own = "unknown"
    return {"syncserver": own, "python": platform.python_version()}


def database_version(alias: str) -> str:
    connection: Any = connections[alias]
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(connection.vendor, connection.vendor)
    version = connection.get_database_version()
    return f"{name} {'.'.join(str(part) for part in version if part)}"


def free_disk_bytes(alias: str) -> int | None:
    """Room where the database lies, or, for one elsewhere, where the uploaded files do. None where it is not known."""
    connection = connections[alias]
    name = str(connection.settings_dict["NAME"])
    folder = Path(name).parent if connection.vendor == "sqlite" else Path(str(settings.MEDIA_ROOT or "."))
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
