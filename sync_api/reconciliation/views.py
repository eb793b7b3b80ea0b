"""The relay's page: what came from a laptop on a day, against the laptop's own manifest. In the admin's clothes.

For staff with the permission `sync_api.view_carriedbatch`. Nothing comes from another host.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import DEFAULT_DB_ALIAS
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache

from sync_api.client.reconcile import fetch_manifest
from sync_api.conf import alias_settings, limit
from sync_api.exceptions import SyncError
from sync_api.models import CarriedBatch, IncomingEpoch
from sync_api.reconciliation.chosen import read_day
from sync_api.reconciliation.comparing import STATUSES, Comparison, compare
from sync_api.reconciliation.inspecting import inspect, is_inspecting
from sync_api.reconciliation.manifest import Manifest, check_manifest

PERMISSION = "sync_api.view_carriedbatch"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def reconciling_alias() -> str:
    """The database that the page speaks of: `SYNC_RELAY_DATABASE`, else the first of role relay or server."""
    named = getattr(settings, "SYNC_RELAY_DATABASE", "")
    if named:
        return str(named)
    roles = {alias: alias_settings(alias).role for alias in settings.DATABASES}
    return next(
        (alias for wanted in ("relay", "server") for alias in roles if roles[alias] == wanted), DEFAULT_DB_ALIAS
    )


def page(request: HttpRequest) -> HttpResponse:
    """The form, and below it the comparison that was asked for. Needs the admin's login."""
    response: HttpResponse = admin.site.admin_view(never_cache(answer))(request)
    response.headers["Content-Security-Policy"] = POLICY
    return response


def answer(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    alias = reconciling_alias()
    asked = request.POST if request.method == "POST" else request.GET
    devices = devices_here(alias)
    device = asked.get("device", "")
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Reconcile with a laptop",
        "relay": alias_settings(alias).device,
        "contact": str(getattr(settings, "SYNC_CONTACT", "")).strip(),
        "devices": devices,
        "device": device,
        "day": asked.get("day", ""),
        "today": timezone.localdate().isoformat(),
        "laptop": asked.get("laptop", ""),
    }
    if device:
        try:
            comparison = compared(request, alias, device)
            context.update(comparison=comparison, table=table_of(comparison))
        except SyncError as error:
            context["error"] = str(error)
    return render(request, "sync_api/reconciliation/page.html", context)


def devices_here(alias: str) -> list[str]:
    """The laptops of which something is here."""
    carried = set(CarriedBatch.objects.using(alias).order_by().values_list("device", flat=True).distinct())
    held = IncomingEpoch.objects.using(alias).order_by().values_list("device__name", flat=True)
    return sorted((carried | set(held)) - {alias_settings(alias).device})


def compared(request: HttpRequest, alias: str, device: str) -> Comparison:
    """A GET only lists what is here. A POST also feeds the mirror, where this process inspects."""
    asked = request.POST if request.method == "POST" else request.GET
    day = read_day(asked["day"]) if asked.get("day") else None
    manifest = None
    if request.method == "POST":
        manifest = told_manifest(request, alias, day)
        if is_inspecting():
            inspect(alias, device)
    return compare(alias, device, day=day, manifest=manifest)


def told_manifest(request: HttpRequest, alias: str, day: Any) -> Manifest | None:
    """From the file, or else from the laptop at the address; None without both."""
    upload: Any = request.FILES.get("manifest")
    if upload is not None:
        return check_manifest(alias, upload.read(int(limit("SYNC_MANIFEST_BYTES_MAX")) + 1))
    url = request.POST.get("laptop", "").strip()
    if not url:
        return None
    return fetch_manifest(alias, url, day=day, allow_http=bool(getattr(settings, "SYNC_ALLOW_HTTP", False)))


def table_of(comparison: Comparison) -> dict[str, Any]:
    """The counts as rows in the order of the columns."""
    listed = [status for status in STATUSES if comparison.made_at is not None or status == "present"]
    rows = [
        (label, [counts[status] for status in listed], comparison.unreadable.get(label, 0))
        for label, counts in comparison.counts.items()
    ]
    heads = listed if comparison.made_at is not None else ["received"]
    return {"heads": heads, "rows": rows, "has_sealed": bool(comparison.unreadable)}
