"""The bare address: each kind of installation opens with the page its people need."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from sync_api import conf

PAGES = {"client": "laptop:page", "relay": "reconciliation:page", "server": "admin:index"}


def home(request: HttpRequest) -> HttpResponse:
    """To the laptop's own page, the middleman's, or the server's admin."""
    role = conf.alias_settings(conf.server_alias()).role
    return redirect(PAGES.get(role or "", "admin:index"))
