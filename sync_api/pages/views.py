"""The page, its state for the script that follows a push, and the button. Plain Django; nothing from another host.

Who may see it and send: staff, and users with the permission `sync_api.view_localdevice`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.timezone import localtime
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from sync_api.conf import alias_settings
from sync_api.pages.sending import Sending, last_sending, start_sending
from sync_api.pages.standing import laptop_alias, own_device, records, safe_to_hand_over, standing_of
from sync_api.pages.words import trouble_of

PERMISSION = "sync_api.view_localdevice"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
View = Callable[..., HttpResponseBase]


def own_content_only(view: View) -> View:
    """Nothing of the page may come from elsewhere, and nothing of it is kept by the browser."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = never_cache(view)(request, *args, **kwargs)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    return answer


def for_researchers(view: View) -> View:
    """Log in first; then staff, or the permission."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            if wants_json(request):
                return JsonResponse({"state": "logged_out"}, status=401)
            return redirect(f"{reverse('laptop:login')}?next={request.path}")
        if not (request.user.is_staff or request.user.has_perm(PERMISSION)):
            return render(request, "sync_api/pages/not_permitted.html", common(), status=403)
        if alias_settings(laptop_alias()).role == "server":
            raise Http404("This is a server, not a laptop.")
        return view(request, *args, **kwargs)

    return answer


def wants_json(request: HttpRequest) -> bool:
    return "application/json" in request.headers.get("Accept", "")


def common() -> dict[str, Any]:
    return {"contact": str(getattr(settings, "SYNC_CONTACT", "")).strip()}


@own_content_only
@for_researchers
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """How many records wait, are held and are applied; whether to hand over; the button."""
    return render(request, "sync_api/pages/laptop.html", {**common(), "now": facts(laptop_alias())})


@own_content_only
@for_researchers
@require_GET
def state(request: HttpRequest) -> HttpResponse:
    """The same as texts in JSON, for the script."""
    return JsonResponse(facts(laptop_alias()))


@own_content_only
@for_researchers
@require_POST
def send(request: HttpRequest) -> HttpResponse:
    """Begin to send. A second press while it runs changes nothing."""
    alias = laptop_alias()
    start_sending(alias)
    return JsonResponse(facts(alias)) if wants_json(request) else HttpResponseRedirect(reverse("laptop:page"))


@method_decorator(own_content_only, name="dispatch")
class Login(LoginView):
    template_name = "sync_api/pages/login.html"
    redirect_authenticated_user = True

    def get_default_redirect_url(self) -> str:
        return reverse("laptop:page")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), **common()}


@method_decorator(own_content_only, name="dispatch")
class Logout(LogoutView):
    def get_default_redirect_url(self) -> str:
        return reverse("laptop:login")


def facts(alias: str) -> dict[str, Any]:
    """Everything that the page shows, as texts."""
    device = own_device(alias)
    sending = last_sending(alias)
    if device is None:
        return {
            "device": alias_settings(alias).device,
            "answer": "No",
            "reason": "This laptop is not set up yet.",
            "next_step": "Call for help.",
            "counts": [],
            "button": "",
            "sending": sending_facts(sending),
        }
    standing = standing_of(alias, device)
    answer = safe_to_hand_over(alias, standing, is_sending=sending.is_running)
    counts = [
        ("waiting", "wait on this laptop", standing.waiting + standing.refused),
        ("carried", "with a middleman", standing.carried),
        ("held", "held by the server", standing.held),
        ("applied", "applied by the server", standing.applied),
    ]
    return {
        "device": standing.device,
        "server": standing.server,
        "answer": "Yes" if answer.is_safe else "No",
        "reason": answer.reason,
        "next_step": answer.next_step,
        "counts": [{"name": name, "label": label, "number": f"{number:,}"} for name, label, number in counts],
        "button": "Send now" if standing.waiting or standing.carried else "Ask the server",
        "sending": sending_facts(sending),
    }


def sending_facts(sending: Sending) -> dict[str, Any]:
    trouble = trouble_of(sending.code) if sending.state == "failed" else None
    return {
        "state": sending.state,
        "line": sending_line(sending),
        "sent": sending.sent,
        "total": sending.total,
        "what": trouble.what if trouble else "",
        "to_do": trouble.to_do if trouble else "",
        "detail": f"{sending.text} ({sending.code})" if trouble else "",
    }


def sending_line(sending: Sending) -> str:
    """One sentence on the push that runs, or on the last one."""
    if sending.moment is None:
        return "Nothing has been sent from this page yet."
    moment = f"{localtime(sending.moment):%d %B, %H:%M}"
    if sending.is_running:
        return f"Sending: {sending.sent:,} of {records(sending.total)}." if sending.total else "Asking the server."
    if sending.state == "failed":
        after = f"after {records(sending.sent)}" if sending.sent else "before anything was sent"
        return f"Sending stopped on {moment}, {after}."
    line = f"{records(sending.sent)} sent on {moment}." if sending.sent else f"The server was asked on {moment}."
    if sending.parked:
        line += f" The server has set {sending.parked:,} changes aside for the data manager; nothing is lost."
    return line
