"""After a device was restored from an older copy: what this server has and the device has not."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json
from sync_api.recovery import Differences, device_differences, preserve_missing

SHOWN_MAX = 20


class Command(BaseCommand):
    help = (
        "Records of DEVICE in the mirror that the device, restored from an older copy, no longer has or has otherwise."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("device", help="The device's name.")
        parser.add_argument("--preserve", action="store_true", help="Preserve what the device lacks; needs --reason.")
        parser.add_argument("--reason", default="", help="Why it is preserved.")
        add_database(parser)
        add_json(parser)

    def handle(self, *, device: str, database: str, json: bool, preserve: bool, reason: str, **options: Any) -> str:
        with plain_errors():
            if preserve:
                found = preserve_missing(database, device, reason=reason)
            else:
                found = device_differences(database, device)
        if json:
            return to_json(
                {
                    "device": found.device,
                    "epoch": found.epoch,
                    "is_restored": found.is_restored,
                    "at": timezone.now().isoformat(),
                    "missing_on_device": found.counts,
                    "keys": found.missing,
                    "differing": found.differing,
                }
            )
        told = sentences(found)
        if preserve and found.missing:
            told.append(
                "They are preserved now. `parked retry` applies what the device made since under the same keys."
            )
        return "\n".join(told)


def sentences(found: Differences) -> list[str]:
    if not found.is_restored:
        return [f"{found.device} has not begun a new epoch after a restore: there is nothing to compare."]
    if not found.missing and not found.differing:
        return [f"{found.device} has every record that this server holds of it."]
    told = []
    for label, keys in found.missing.items():
        shown = ", ".join(keys[:SHOWN_MAX]) + (", ..." if len(keys) > SHOWN_MAX else "")
        told.append(f"{found.device} no longer has {len(keys)} records of {label}: {shown}.")
    if found.missing:
        told.append("They stay in the mirror as they were. Enter them again at the device if they are needed there.")
    for unit in found.differing:
        told.append(f"{unit['tx_name']} {unit['tx_pk']} differs: see `parked show {unit['id']}`.")
    return told
