"""This installation's own state, as it tells it to its users."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from audit.fields import from_microseconds
from sync_api.client.targets import target_facts, target_words, targets_of
from sync_api.clock import now_in_microseconds
from sync_api.files.standing import OwnFiles, own_files, own_files_lines
from sync_api.fleet.facts import free_disk_bytes, parked_there
from sync_api.fleet.words import duration
from sync_api.models import LocalDevice
from sync_api.waiting import oldest_pending_at


def own_status(alias: str, status: dict[str, Any]) -> dict[str, Any]:
    """`status` (see device_status) with what is beside the counts: oldest, server's word, disk, push targets."""
    device = LocalDevice.objects.using(alias).get(name=status["device"])
    return {
        **status,
        "oldest_pending_at": oldest_pending_at(alias, device),
        "parked_units": parked_there(alias, device),
        "free_disk_bytes": free_disk_bytes(alias),
        "files": asdict(own_files(alias, device)),
        "targets": [target_facts(alias, target) for target in targets_of(alias, device)],
        "at": from_microseconds(now_in_microseconds(alias)),
    }


def own_lines(own: dict[str, Any] | None) -> list[str]:
    if own is None:
        return ["Nothing is captured in this database."]
    where = f"enrolled with {own['server']} at {own['url']}" if own["url"] else "not enrolled with a server"
    lines = [
        f"{own['device']}: {where}.",
        f"  waiting: {own['unsealed_transactions']} transactions to be sealed,"
        f" {own['unsent_transactions']} in {own['unsent_batches']} sealed batches to be sent.",
    ]
    if own["oldest_pending_at"] is not None:
        lines.append(f"  the oldest waits for {duration((own['at'] - own['oldest_pending_at']).total_seconds())}.")
    if own["parked_units"]:
        lines.append(f"  {own['parked_units']} units are set aside on {own['server']}: call its operator.")
    lines += own_files_lines(OwnFiles(**own["files"]))
    return [*lines, *(f"  to {target_words(target)}." for target in own["targets"])]
