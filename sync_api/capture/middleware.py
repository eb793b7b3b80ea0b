"""Attributes the changes of one request to its user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

from sync_api.capture.context import sync_context

REASON_HEADER = "X-Sync-Reason"
REASON_FIELD = "_sync_reason"
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class SyncContextMiddleware:
    """Put it after AuthenticationMiddleware. The reason comes from the header X-Sync-Reason or the form field
    `_sync_reason`; the user is asked for only when something is written."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with sync_context(user=lambda: user_name(request), reason=reason_of(request)):
            return self.get_response(request)


def user_name(request: HttpRequest) -> str:
    """The signed-in user's name, else `anonymous`."""
    user: Any = getattr(request, "user", None)
    if getattr(user, "is_authenticated", False) and hasattr(user, "get_username"):
        return str(user.get_username())
    return "anonymous"


def reason_of(request: HttpRequest) -> str | None:
    """The reason that came with the request. A body that is no form, or whose view reads it itself, is left unread."""
    if reason := request.headers.get(REASON_HEADER):
        return reason
    if request.method == "POST" and request.content_type in FORMS and not reads_its_own_body(request):
        return request.POST.get(REASON_FIELD) or None
    return None


def reads_its_own_body(request: HttpRequest) -> bool:
    """Whether the view takes forms within limits of its own (`reads_own_body` on the view)."""
    try:
        view = resolve(request.path_info, getattr(request, "urlconf", None)).func
    except Resolver404:
        return False
    return bool(getattr(view, "reads_own_body", False))
