"""Find, download, audit, dictionary. In the admin's clothes, for its users; nothing comes from another host."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from audit.exceptions import AuditError
from audit.index import find
from audit.models import Device, TableChanges
from audit.reading.changes import changes
from audit.reading.dictionary import data_dictionary
from audit.reading.download import chosen_rows, in_pieces
from audit.reading.snapshot import snapshot_lines
from sync_api import conf
from sync_api.exceptions import AskedWrongly
from sync_api.reconciliation.views import POLICY
from sync_api.records.asking import FORMATS, find_table, read_asked, read_chosen, read_format, short
from sync_api.records.permissions import devices_seen, may_see, tables_seen

CHANGES_PERMISSION = "audit.view_tablechanges"
PAGE_ROWS = 50
KEYS_SHOWN_MAX = 20
FOUND_MAX = 100
View = Callable[..., HttpResponseBase]


def for_staff(view: View) -> View:
    """Behind the admin's login; nothing is kept by the browser. A wrong question gets 400 and a sentence."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except (AskedWrongly, AuditError) as error:
            context = {**common(request, "This cannot be answered"), "error": str(error)}
            return render(request, "sync_api/records/wrong.html", context, status=400)

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response: HttpResponseBase = admin.site.admin_view(never_cache(require_safe(answer)))(request, *args, **kwargs)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    return guarded


def common(request: HttpRequest, title: str) -> dict[str, Any]:
    return {**admin.site.each_context(request), "title": title}


@for_staff
def front(request: HttpRequest) -> HttpResponse:
    """The tables to download, and the records that are found by what people know them by."""
    alias = conf.server_alias()
    tables = tables_seen(request.user)
    wanted = short(request.GET, "q")
    found: list[Any] = []
    if wanted:
        entries = find(alias, wanted).filter(model__in=[table.label for table in tables])
        devices = devices_seen(request.user, alias)
        found = list((entries if devices is None else entries.filter(device__in=devices))[:FOUND_MAX])
    context = {
        **common(request, "Records"),
        "q": wanted,
        "found": found,
        "tables": tables,
        "devices": names_of_devices(request, alias),
        "sees_changes": request.user.has_perm(CHANGES_PERMISSION),
    }
    return render(request, "sync_api/records/front.html", context)


@for_staff
def download(request: HttpRequest, label: str) -> HttpResponseBase:
    """One table as a file, streamed: memory does not grow with its rows. 403 without the mirror's view permission."""
    table = find_table(label)
    if not may_see(request.user, table):
        raise PermissionDenied
    alias = conf.server_alias()
    chosen, wanted = read_chosen(request.GET), read_format(request.GET)
    rows = chosen_rows(table, alias, chosen, devices=devices_seen(request.user, alias))
    lines = snapshot_lines(
        rows, wanted, own=chosen.own_columns, for_spreadsheets=wanted == "csv" and request.GET.get("raw") != "1"
    )
    response = StreamingHttpResponse(in_pieces(lines), content_type=FORMATS[wanted])
    name = f"{table.label}-{timezone.now():%Y%m%dT%H%M%SZ}.{wanted}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@for_staff
def changes_page(request: HttpRequest) -> HttpResponse:
    """The audit: what each commit changed, newest first, page by page."""
    if not request.user.has_perm(CHANGES_PERMISSION):
        raise PermissionDenied
    alias = conf.server_alias()
    tables = tables_seen(request.user)
    asked = read_asked(request.GET, tables)
    rows = changes(alias, asked, devices=devices_seen(request.user, alias))
    before = short(request.GET, "before")
    if before.isascii() and before.isdigit() and len(before) < 19:
        rows = rows.filter(pk__lt=int(before))
    page = list(rows.order_by("-id")[: PAGE_ROWS + 1])
    kept = {name: value for name, value in request.GET.items() if name != "before" and value}
    more = urlencode({**kept, "before": page[PAGE_ROWS - 1].pk}) if len(page) > PAGE_ROWS else ""
    context = {
        **common(request, "What changed"),
        "asked": {name: short(request.GET, name) for name in request.GET},
        "tables": tables,
        "devices": names_of_devices(request, alias),
        "rows": [(row, line_of(row)) for row in page[:PAGE_ROWS]],
        "more": more,
    }
    return render(request, "sync_api/records/changes.html", context)


@for_staff
def dictionary_page(request: HttpRequest) -> HttpResponse:
    """Every table that the user may see: column, type, meaning, and who writes it."""
    labels = {table.label for table in tables_seen(request.user)}
    tables: dict[str, dict[str, Any]] = {}
    for entry in data_dictionary(conf.server_alias()):
        if entry.model in labels:
            table = tables.setdefault(entry.model, {"name": entry.table, "content": [], "own": []})
            table["own" if entry.field.startswith("mirror_") else "content"].append(entry)
    return render(request, "sync_api/records/dictionary.html", {**common(request, "Data dictionary"), "all": tables})


def line_of(row: TableChanges) -> str:
    return row.line(keys_max=KEYS_SHOWN_MAX)


def names_of_devices(request: HttpRequest, alias: str) -> list[str]:
    seen = devices_seen(request.user, alias)
    devices = Device.objects.using(alias).order_by("name")
    return list((devices if seen is None else devices.filter(pk__in=seen)).values_list("name", flat=True))
