"""The road between laptop and server in one process, and what can go wrong on it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx
from django.db import connections
from django.test import Client

HANDED_ON = ("Authorization", "X-Sync-Heartbeat", "X-Sync-Recipients", "X-Sync-Receipt", "Idempotency-Key")


class Road(httpx.BaseTransport):
    """Carries requests to the server's real views; each entry of `trouble` spoils one request, in order.

    A trouble is None (none), or a function of the request and of a function that asks the server.
    """

    def __init__(self, *trouble: Trouble | None) -> None:
        self.trouble = list(trouble)
        self.requests: list[str] = []
        self.client = Client(raise_request_exception=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(f"{request.method} {request.url.path}")
        trouble = self.trouble.pop(0) if self.trouble else None
        return self.ask(request) if trouble is None else trouble(request, self.ask)

    def ask(self, request: httpx.Request) -> httpx.Response:
        answer = self.client.generic(
            request.method,
            request.url.raw_path.decode(),
            request.read(),
            content_type=request.headers.get("content-type", ""),
            headers={
                "Host": request.url.netloc.decode(),
                **{name: request.headers.get(name, "") for name in HANDED_ON},
            },
        )
        if threading.current_thread() is not threading.main_thread():
            connections.close_all()  # of this thread alone: nobody else will
        return httpx.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)


Trouble = Callable[[httpx.Request, Callable[[httpx.Request], httpx.Response]], httpx.Response]


def cut_before(request: httpx.Request, ask: Callable[[httpx.Request], httpx.Response]) -> httpx.Response:
    """The request never arrives."""
    raise httpx.ConnectError("no road")


def cut_after(request: httpx.Request, ask: Callable[[httpx.Request], httpx.Response]) -> httpx.Response:
    """The request arrives, its answer does not."""
    ask(request)
    raise httpx.ReadTimeout("lost")


def answers(status: int, content: bytes = b"", **headers: str) -> Trouble:
    """Something on the road answers in the server's place."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda request, ask: httpx.Response(status, headers=named, content=content)
