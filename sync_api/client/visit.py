"""Visiting another installation: a short-lived pass, shown with every request and asked for anew when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import orjson

from sync_api.client.http import Answer, Server
from sync_api.exceptions import CertificateInvalid, NotTheServer, PeerNotTrusted, ServerRefused, VisitRefused
from sync_api.fleet import Heartbeat
from sync_api.trust import check_certificate
from sync_api.trust.visits import visit_request

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Peer:
    """Who was met at an address, by its certificate."""

    name: str
    role: str
    public_key: str
    certificate: dict[str, Any]


class Visited(Server):
    """A connection to an installation that is visited; `peer` says who it is. Use as a context manager."""

    def __init__(
        self,
        alias: str,
        url: str,
        *,
        allow_http: bool = False,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(url, allow_http=allow_http, transport=transport, sleep=sleep)
        self.alias = alias
        try:
            self.peer, nonce = self._meet()
            self._begin(nonce)
            self.heartbeat = Heartbeat(alias).header
        except BaseException:
            self.client.close()
            raise

    def __enter__(self) -> Visited:
        return self

    def request(self, *arguments: Any, **options: Any) -> Answer:
        ask = super().request
        return self._with_pass(lambda: ask(*arguments, **options))

    def fetch(self, path: str, kind: str, *, size_max: int) -> bytes:
        ask = super().fetch
        return self._with_pass(lambda: ask(path, kind, size_max=size_max))

    def _with_pass(self, ask: Callable[[], T]) -> T:
        """Ask; where the pass has ended, begin a new visit and ask once more."""
        try:
            return ask()
        except ServerRefused as error:
            if error.status != httpx.codes.UNAUTHORIZED or "Authorization" not in self.client.headers:
                raise
        del self.client.headers["Authorization"]
        _, nonce = self._meet(self.peer)
        self._begin(nonce)
        return ask()

    def _meet(self, before: Peer | None = None) -> tuple[Peer, str]:
        """Who is there, and its nonce. Raises PeerNotTrusted or NotTheServer."""
        body = super().request("GET", "server").body
        certificate, nonce = body.get("certificate"), body.get("nonce")
        if not isinstance(certificate, dict) or not isinstance(nonce, str):
            raise NotTheServer(url=self.url, status=200)
        try:
            check_certificate(self.alias, certificate)
        except CertificateInvalid as error:
            raise PeerNotTrusted(url=self.url, what=str(error)) from error
        peer = Peer(certificate["device"], certificate["role"], certificate["public_key"], certificate)
        if (body.get("name"), body.get("public_key")) != (peer.name, peer.public_key):
            raise PeerNotTrusted(url=self.url, what="its certificate is another's")
        if before is not None and peer.public_key != before.public_key:
            raise PeerNotTrusted(url=self.url, what="another installation answers there than before")
        return peer, nonce

    def _begin(self, nonce: str) -> None:
        """Get a pass. A nonce is good once, so a request whose answer was lost is made anew, with another one."""
        try:
            self._ask_for_pass(nonce)
        except ServerRefused as error:
            if error.code != VisitRefused.code:
                raise
            self._ask_for_pass(self._meet(self.peer)[1])

    def _ask_for_pass(self, nonce: str) -> None:
        request = visit_request(
            self.alias,
            server=self.peer.name,
            key=self.peer.public_key,
            address=httpx.URL(self.url).netloc.decode().lower(),
            nonce=nonce,
        )
        body = super().request("POST", "visits", content=orjson.dumps(request)).body
        token = body.get("token")
        if not isinstance(token, str):
            raise NotTheServer(url=self.url, status=200)
        self.client.headers["Authorization"] = f"Bearer {token}"


def visiting(
    alias: str,
    url: str,
    *,
    allow_http: bool = False,
    transport: httpx.BaseTransport | None = None,
) -> Visited:
    """Visit the installation at `url` with this one's certificate.

    Raises NotEnrolled, PeerNotTrusted, ServerRefused, NotTheServer, ServerUnreachable, PlainHttpRefused.
    """
    return Visited(alias, url, allow_http=allow_http, transport=transport)
