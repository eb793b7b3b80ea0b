"""What waits on this device, and, on a server, what is held of each device."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db.models import Count, F, Q, Sum

from audit.models import Device
from sync_api.client.waiting import device_status
from sync_api.conf import alias_settings
from sync_api.management.commands._common import add_database, add_json, plain_errors, to_json
from sync_api.models import Alarm, IncomingEpoch


class Command(BaseCommand):
    help = "Show what waits: on a device to be sent, on a server to be consumed."

    def add_arguments(self, parser: CommandParser) -> None:
        add_database(parser)
        add_json(parser)

    def handle(self, *args: Any, **options: Any) -> str:
        alias = options["database"]
        with plain_errors():
            own = device_status(alias)
            fleet = fleet_status(alias) if alias_settings(alias).role != "client" else []
        if options["json"]:
            return to_json({"own": own, "fleet": fleet})
        return "\n".join([*own_lines(own), *map(fleet_line, fleet)])


def fleet_status(alias: str) -> list[dict[str, Any]]:
    """One entry per registered device, in five statements however many there are."""
    parked = Count("parked_units", filter=Q(parked_units__state="parked"))
    devices = Device.objects.using(alias).annotate(parked=parked).order_by("name")
    waiting = dict(
        IncomingEpoch.objects.using(alias)
        .values_list("device")
        .annotate(waiting=Sum(F("head_number") - F("consumed_number")))
        .order_by()
    )
    held = dict(IncomingEpoch.objects.using(alias).values_list("device").annotate(Sum("head_number")).order_by())
    alarms = dict(
        Alarm.objects.using(alias).filter(resolved_at=None).values_list("device").annotate(Count("pk")).order_by()
    )
    return [
        {
            "device": device.name,
            "role": device.role,
            "last_seen_at": device.last_seen_at,
            "revoked_at": device.revoked_at,
            "held_batches": held.get(device.pk, 0),
            "waiting_batches": waiting.get(device.pk, 0),
            "parked_units": device.parked,
            "alarms": alarms.get(device.pk, 0),
        }
        for device in devices
    ]


def own_lines(own: dict[str, Any] | None) -> list[str]:
    if own is None:
        return ["Nothing is captured in this database."]
    where = f"enrolled with {own['server']} at {own['url']}" if own["url"] else "not enrolled with a server"
    return [
        f"{own['device']}: {where}.",
        f"  waiting: {own['unsealed_transactions']} transactions to be sealed,"
        f" {own['unsent_transactions']} in {own['unsent_batches']} sealed batches to be sent.",
    ]


def fleet_line(entry: dict[str, Any]) -> str:
    seen = f"{entry['last_seen_at']:%Y-%m-%d %H:%M} UTC" if entry["last_seen_at"] else "never"
    revoked = ", REVOKED" if entry["revoked_at"] else ""
    return (
        f"{entry['device']} ({entry['role']}{revoked}): last seen {seen}; {entry['held_batches']} batches held, "
        f"{entry['waiting_batches']} to be consumed, {entry['parked_units']} units parked, {entry['alarms']} alarms."
    )
