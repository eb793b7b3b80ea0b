"""The road between computers, in one process: requests reach the real REST views of the computer addressed.

Each entry of `troubles` spoils one request, in order; afterwards the road is good.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import httpx
from django.core.handlers.wsgi import WSGIRequest
from django.urls import include, path
from django.urls.resolvers import RegexPattern, URLResolver

from sync_api.simulation.kills import Killed

if TYPE_CHECKING:
    from sync_api.simulation.computers import Computer

TROUBLES = ("none", "lose_request", "lose_answer", "duplicate", "cut", "delay", "portal", "unavailable")
DELAYED_MAX = 20


class Network:
    """All computers that can be reached, by host name, and the requests that are still on their way."""

    def __init__(self) -> None:
        self.hosts: dict[str, Computer] = {}
        self.delayed: list[tuple[str, httpx.Request]] = []
        self.resolver = URLResolver(RegexPattern(r"^/"), [path("", include("sync_api.urls"))])

    def road(self, troubles: Sequence[str] = (), *, cut_after: int = 0) -> Road:
        return Road(self, troubles, cut_after=cut_after)

    def url(self, computer: Computer) -> str:
        return f"http://{computer.name}.invalid"

    def deliver_delayed(self) -> list[int]:
        """What was held back arrives now, last one first; the statuses of the answers, which nobody hears. What was
        for a computer that is lost meanwhile arrives nowhere."""
        waiting, self.delayed = self.delayed[::-1], []
        return [self.ask(request).status_code for _, request in waiting if self.host_of(request) is not None]

    def host_of(self, request: httpx.Request) -> Computer | None:
        return self.hosts.get(request.url.host.removesuffix(".invalid"))

    def ask(self, request: httpx.Request, content: bytes | None = None) -> httpx.Response:
        """Hand a request to the computer addressed. A process killed there breaks the connection."""
        computer = self.host_of(request)
        if computer is None:
            raise httpx.ConnectError("no such host")
        try:
            with computer.at_work():
                return self.answer(request, request.read() if content is None else content)
        except Killed as error:
            computer.close()
            raise httpx.RemoteProtocolError("the server closed the connection") from error

    def answer(self, request: httpx.Request, content: bytes) -> httpx.Response:
        django_request = WSGIRequest(environment(request, content))
        match = self.resolver.resolve(django_request.path_info)
        response: Any = match.func(django_request, *match.args, **match.kwargs)
        if hasattr(response, "render"):
            response.render()
        body = b"".join(response.streaming_content) if response.streaming else response.content
        response.close()
        return httpx.Response(response.status_code, headers=dict(response.items()), content=body)


def environment(request: httpx.Request, content: bytes) -> dict[str, Any]:
    named = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers.items()}
    return {
        **named,
        "REQUEST_METHOD": request.method,
        "PATH_INFO": request.url.path,
        "QUERY_STRING": request.url.query.decode(),
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(content)),
        "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(content),
    }


class Road(httpx.BaseTransport):
    """One computer's way to the others, for the length of one command."""

    def __init__(self, network: Network, troubles: Sequence[str], *, cut_after: int) -> None:
        self.network = network
        self.troubles = list(troubles)
        self.cut_after = cut_after

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        trouble = self.troubles.pop(0) if self.troubles else "none"
        spoil: Callable[[httpx.Request], httpx.Response] = getattr(self, trouble)
        return spoil(request)

    def none(self, request: httpx.Request) -> httpx.Response:
        return self.network.ask(request)

    def lose_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no road")

    def lose_answer(self, request: httpx.Request) -> httpx.Response:
        self.network.ask(request)
        raise httpx.ReadTimeout("the answer was lost")

    def duplicate(self, request: httpx.Request) -> httpx.Response:
        self.network.ask(request)
        return self.network.ask(request)

    def cut(self, request: httpx.Request) -> httpx.Response:
        """The first bytes arrive as if they were all."""
        self.network.ask(request, request.content[: self.cut_after % (len(request.content) or 1)])
        raise httpx.ReadError("the connection was cut")

    def delay(self, request: httpx.Request) -> httpx.Response:
        """The request arrives much later, when nobody waits for its answer."""
        if len(self.network.delayed) < DELAYED_MAX:
            self.network.delayed.append((request.url.host, request))
        raise httpx.ReadTimeout("no answer in time")

    def portal(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/html"}, content=b"<html>Please pay first.</html>")

    def unavailable(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(503, content=b"")
