"""Requests to the server: verified TLS, timeouts, and retries with full jitter that heed Retry-After.

Only an answer that the sync server can have given counts: JSON of the right kind. A login page of the network that
answers 200 with HTML is a failure with a plain sentence.
"""

from __future__ import annotations

import ipaddress
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
from django.utils import timezone

from sync_api.conf import limit
from sync_api.exceptions import AddressInvalid, NotTheServer, PlainHttpRefused, ServerRefused, ServerUnreachable

PROBLEM = "application/problem+json"
JSON = "application/json"
AGAIN = frozenset({429, 500, 502, 503, 504})
API = "/api/v1/"
HEARTBEAT_HEADER = "X-Sync-Heartbeat"


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer of status 200 to 299."""

    status: int
    body: dict[str, Any]


class Server:
    """A connection to one server, kept open over many requests. Use as a context manager."""

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        allow_http: bool = False,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = checked_address(url, allow_http=allow_http)
        self.sleep = sleep
        self.requests = 0
        self.heartbeat: Callable[[], str] | None = None
        """What the heartbeat's header says, asked for each request. May be called in another thread."""
        headers = {"Accept": f"{JSON}, {PROBLEM}", "User-Agent": "syncserver"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        timeout = httpx.Timeout(float(limit("SYNC_READ_SECONDS")), connect=float(limit("SYNC_CONNECT_SECONDS")))
        self.client = httpx.Client(
            headers=headers,
            timeout=timeout,
            transport=transport,
            follow_redirects=False,
            verify=trust(urlsplit(self.url).scheme),
        )

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, path: str, content: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Send; the same request may reach the server several times, so it must be one that may."""
        return self.request("POST", path, content=content, content_type=content_type, headers=headers)

    def request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        content_type: str = JSON,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The server's answer. Raises ServerRefused (its problem), NotTheServer or ServerUnreachable."""
        size_max = int(limit("SYNC_ANSWER_BYTES_MAX"))
        told = {**(headers or {}), **({} if content is None else {"Content-Type": content_type})}
        return self._answer(*self._exchange(method, path, content, told, size_max))

    def fetch(self, path: str, kind: str, *, size_max: int) -> bytes:
        """Bytes of the content type `kind`, at most `size_max`. Raises as `request` does."""
        response, body = self._exchange("GET", path, None, {}, size_max)
        if response.is_success and content_kind(response) == kind:
            return body
        self._answer(response, body)
        raise NotTheServer(url=self.url, status=response.status_code)

    def address(self, path: str) -> str:
        return self.url + API + path

    def raw(
        self, method: str, path: str, *, headers: dict[str, str], content: Iterator[bytes] | None = None
    ) -> httpx.Response:
        """One request without any second try, its answer read within the limit. Raises httpx.TransportError,
        NotTheServer for an answer that is too large."""
        self.requests += 1
        size_max = int(limit("SYNC_ANSWER_BYTES_MAX"))
        with self.client.stream(method, self.address(path), headers=headers, content=content) as response:
            if int(response.headers.get("content-length") or 0) > size_max:
                raise NotTheServer(url=self.url, status=response.status_code)
            response.read()
        return response

    def _exchange(
        self, method: str, path: str, content: bytes | None, told: Mapping[str, str], size_max: int
    ) -> tuple[httpx.Response, bytes]:
        attempts = int(limit("SYNC_ATTEMPTS_MAX"))
        wait, what = 0.0, ""
        for attempt in range(attempts):
            if attempt:
                self.sleep(wait or backoff(attempt))
            wait = 0.0
            try:
                response, body = self._once(method, path, content, told, size_max)
            except httpx.TransportError as error:
                what = describe(error)
                continue
            if response.status_code not in AGAIN:
                return response, body
            what, wait = f"status {response.status_code}", retry_after(response)
        raise ServerUnreachable(url=self.url, what=what, attempts=attempts)

    def _once(
        self, method: str, path: str, content: bytes | None, told: Mapping[str, str], size_max: int
    ) -> tuple[httpx.Response, bytes]:
        self.requests += 1
        headers = dict(told)
        if self.heartbeat is not None and (beat := self.heartbeat()):
            headers[HEARTBEAT_HEADER] = beat
        chunks: list[bytes] = []
        size = 0
        with self.client.stream(method, self.url + API + path, content=content, headers=headers) as response:
            for chunk in response.iter_bytes():
                size += len(chunk)
                if size > size_max:
                    raise NotTheServer(url=self.url, status=response.status_code)
                chunks.append(chunk)
        return response, b"".join(chunks)

    def _answer(self, response: httpx.Response, body: bytes) -> Answer:
        kind = content_kind(response)
        value = json_object(body)
        if value is not None and response.is_success and kind == JSON:
            return Answer(response.status_code, value)
        if value is not None and kind == PROBLEM and isinstance(value.get("code"), str):
            detail = str(value.get("detail", "")) or str(value.get("title", ""))
            raise ServerRefused(status=response.status_code, code=value["code"], detail=detail)
        raise NotTheServer(url=self.url, status=response.status_code)


def trust(scheme: str) -> ssl.SSLContext:
    """Whose certificates count. Reading the authorities takes 20 ms, so only where TLS is spoken; a connection
    without it trusts nobody."""
    return httpx.create_ssl_context() if scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def checked_address(url: str, *, allow_http: bool) -> str:
    """The address without a slash at its end. Plain HTTP only to this machine, or where it is allowed by name."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise AddressInvalid(url=url)
    if parts.scheme == "http" and not allow_http and not is_loopback(parts.hostname):
        raise PlainHttpRefused(url=url)
    return url.rstrip("/").removesuffix(API.rstrip("/"))


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def backoff(attempt: int) -> float:
    """Full jitter: anything from nothing to the doubled delay, so that many devices do not come at once."""
    most = min(float(limit("SYNC_BACKOFF_SECONDS_MAX")), float(limit("SYNC_BACKOFF_SECONDS")) * 2.0 ** (attempt - 1))
    return random.uniform(0, most)


def retry_after(response: httpx.Response) -> float:
    """Seconds the server asks to wait (RFC 9110, 10.2.3), within the limit; 0 when it does not ask."""
    told = response.headers.get("retry-after", "").strip()
    try:
        seconds = float(told) if told.isdigit() else (parsedate_to_datetime(told) - timezone.now()).total_seconds()
    except (ValueError, TypeError):
        return 0.0
    return max(0.0, min(seconds, float(limit("SYNC_RETRY_AFTER_SECONDS_MAX"))))


def content_kind(response: httpx.Response) -> str:
    """The content type without its parameters."""
    return str(response.headers.get("content-type", "")).split(";")[0].strip().lower()


def json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def describe(error: httpx.TransportError) -> str:
    """The failure in words a field worker can pass on."""
    if isinstance(error, httpx.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError):
        text = str(error)
        return f"TLS: {text}" if "CERTIFICATE" in text or "SSL" in text else "no connection"
    return "the connection broke"
