"""Installations of one process that reach each other's real views by their names as hosts."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import httpx
from django.test import Client


class Town(httpx.BaseTransport):
    """Requests to http://NAME go to the views of the installation of that name; the road to `closed` ones is cut.

    A request with the body `failing` is answered with status 500.
    """

    def __init__(self, settings: Any, places: dict[str, str]) -> None:
        self.settings = settings
        self.places = places
        self.closed: set[str] = set()
        self.failing = b""
        self.lost: list[str] = []
        """Paths of which the next answer does not come back."""
        self.middlemen: dict[str, str] = {}
        """By name of one who answers in another's place, handing everything on: that other."""
        self.requests: list[str] = []
        self.client = Client(raise_request_exception=False)

    def url(self, name: str) -> str:
        return f"http://{name}.test"

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        name = str(request.url.host).removesuffix(".test")
        self.requests.append(f"{request.method} {name} {urlsplit(str(request.url)).path}")
        if name in self.closed:
            raise httpx.ConnectError("no road")
        if self.failing and request.read() == self.failing:
            return httpx.Response(500)
        host, name = f"{self.middlemen.get(name, name)}.test", self.middlemen.get(name, name)
        before = self.settings.SYNC_SERVER_DATABASE
        self.settings.SYNC_SERVER_DATABASE = self.places[name]
        try:
            answer = self.client.generic(
                request.method,
                str(request.url.raw_path, "ascii"),
                request.read(),
                content_type=request.headers.get("content-type", ""),
                headers={
                    "Host": host,
                    **{
                        name: request.headers.get(name, "")
                        for name in ("Authorization", "X-Sync-Heartbeat", "X-Sync-Recipients", "X-Sync-Receipt")
                    },
                },
            )
        finally:
            self.settings.SYNC_SERVER_DATABASE = before
        if request.url.path in self.lost:
            self.lost.remove(request.url.path)
            raise httpx.ReadTimeout("lost")
        return httpx.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)
