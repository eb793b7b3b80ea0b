"""The fleet as a list: every device with what waits on it, how long it is silent, and how its clock is."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from audit.admin import DeviceAdmin, ReadOnlyAdmin
from audit.models import Device
from sync_api.fleet import fleet_status
from sync_api.fleet.words import duration, since
from sync_api.models import PushTarget

admin.site.unregister(Device)


@admin.register(Device)
class FleetAdmin(DeviceAdmin):
    """The register of devices, with what each one's last heartbeat says."""

    list_display: Any = (
        "name",
        "role",
        "records_waiting",
        "silent",
        "clock",
        "carried",
        "parked",
        "app",
        "known_until",
        "last_seen_at",
        "revoked_at",
    )
    list_per_page = 100

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        listed = getattr(response, "context_data", {}).get("cl")
        if listed is not None:
            devices = list(listed.result_list)
            entries = fleet_status(listed.queryset.db, [device.name for device in devices])
            by_name = {entry["device"]: entry for entry in entries}
            for device in devices:
                device.fleet = by_name.get(device.name)
            listed.result_list = devices
        return response

    @admin.display(description="records waiting")
    def records_waiting(self, device: Any) -> Any:
        return told(device, "pending")

    @admin.display(description="silent for")
    def silent(self, device: Any) -> str | None:
        seconds = told(device, "silent_seconds")
        return None if seconds is None else duration(max(0, seconds))

    @admin.display(description="clock")
    def clock(self, device: Any) -> str | None:
        skew = told(device, "clock_skew_seconds")
        return None if skew is None else f"{duration(skew)} {'ahead' if skew > 0 else 'behind'}"

    @admin.display(description="carried by")
    def carried(self, device: Any) -> str | None:
        runs, now = told(device, "carried") or [], timezone.now()
        return ", ".join(f"{run['by']} {since(run['since'], now)}" for run in runs) or None

    @admin.display(description="units parked")
    def parked(self, device: Any) -> Any:
        return told(device, "parked_units")

    @admin.display(description="app version")
    def app(self, device: Any) -> str | None:
        versions = told(device, "versions")
        return device.app_version or (str(versions.get("app", ""))[:50] if versions else None)


def told(device: Any, name: str) -> Any:
    entry = getattr(device, "fleet", None)
    return None if entry is None else entry[name]


@admin.register(PushTarget)
class PushTargetAdmin(ReadOnlyAdmin):
    list_display = ("name", "kind", "url", "acknowledged_number", "failures", "open_until", "last_held_at", "is_active")
    list_filter = ("kind", "is_active")
    search_fields = ("name", "url")
    readonly_fields = ("url",)
