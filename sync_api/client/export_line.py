"""The way to an export target: HTTP Basic sent at once, TLS verified, no redirects, small answers, timeouts.

An answer is read to its end within SYNC_EXPORT_ANSWER_SECONDS_MAX and up to SYNC_EXPORT_ANSWER_BYTES_MAX, as it was
sent: nothing is decompressed.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import IO, Any
from urllib.parse import urlsplit

import httpx
import orjson
from django.utils import timezone

from sync_api.client.http import describe, json_object, trust
from sync_api.conf import limit
from sync_api.exports.conversation import Beat, Content, Reply
from sync_api.exports.credentials import read_password
from sync_api.exports.targets import checked_target
from sync_api.models import ExportConfiguration

CHUNK = 256 * 1024


class AnswerTooLong(Exception):
    """The answer has more bytes, or takes longer, than is read."""


class ExportLine:
    """One target's address and credentials. ExportTargetRefused or ExportCredentialsUnreadable when made."""

    def __init__(
        self, configuration: ExportConfiguration, client: httpx.Client, *, timer: Any = time.monotonic
    ) -> None:
        self.url = checked_target(configuration.target_url)
        password = read_password(configuration)
        self.auth = httpx.BasicAuth(configuration.target_user, password) if configuration.target_user else None
        self.client, self.timer = client, timer

    def post(self, body: dict[str, Any]) -> Reply:
        return self._post("", orjson.dumps(body), {"Content-Type": "application/json"})

    def post_file(self, path: str, content: Content, source: IO[bytes], beat: Beat) -> Reply:
        """The file as the part `file` of a form, read piece by piece and with its length told before."""
        boundary = secrets.token_hex(16)
        head, tail = frame(boundary, content)
        length = len(head) + content.size + len(tail)
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Content-Length": str(length)}

        def pieces() -> Iterator[bytes]:
            yield head
            while chunk := source.read(CHUNK):
                beat()
                yield chunk
            yield tail

        return self._post(path, pieces(), headers)

    def _post(self, path: str, content: bytes | Iterator[bytes], headers: dict[str, str]) -> Reply:
        try:
            with self.client.stream(
                "POST", self.url + path, content=content, headers=headers, auth=self.auth or httpx.USE_CLIENT_DEFAULT
            ) as response:
                body = self._read(response)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            what = describe(error) if isinstance(error, httpx.TransportError) else "not an address"
            return Reply(0, None, problem=what)
        except AnswerTooLong:
            return Reply(0, None, problem="the answer is larger or slower than is read")
        return Reply(response.status_code, json_object(body), retry_after(response))

    def _read(self, response: httpx.Response) -> bytes:
        most, until = (
            int(limit("SYNC_EXPORT_ANSWER_BYTES_MAX")),
            self.timer() + float(limit("SYNC_EXPORT_ANSWER_SECONDS_MAX")),
        )
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_raw():
            size += len(chunk)
            if size > most or self.timer() > until:
                raise AnswerTooLong
            chunks.append(chunk)
        return b"".join(chunks)


class ExportClient:
    """Connections to targets, kept open over many requests. Use as a context manager; `connect` opens a line."""

    def __init__(self, *, transport: httpx.BaseTransport | None = None) -> None:
        self.transport = transport
        self.clients: dict[str, httpx.Client] = {}

    def connect(self, configuration: ExportConfiguration) -> ExportLine:
        scheme = urlsplit(checked_target(configuration.target_url)).scheme
        if scheme not in self.clients:
            self.clients[scheme] = new_client(scheme, self.transport)
        return ExportLine(configuration, self.clients[scheme])

    def __enter__(self) -> ExportClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self.clients.values():
            client.close()


def new_client(scheme: str, transport: httpx.BaseTransport | None) -> httpx.Client:
    """Proxies and .netrc of the environment are left alone: they could send the password elsewhere."""
    return httpx.Client(
        headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "syncserver"},
        timeout=httpx.Timeout(float(limit("SYNC_READ_SECONDS")), connect=float(limit("SYNC_CONNECT_SECONDS"))),
        transport=transport,
        follow_redirects=False,
        verify=trust(scheme),
        trust_env=False,
    )


def frame(boundary: str, content: Content) -> tuple[bytes, bytes]:
    """What stands before and after the bytes of a form's only part. The name is its id: users' names stay here."""
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{content.file_id}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode(), f"\r\n--{boundary}--\r\n".encode()


def retry_after(response: httpx.Response) -> float:
    """Seconds the target asks to wait (RFC 9110, 10.2.3); 0 when it does not ask."""
    told = response.headers.get("retry-after", "").strip()
    try:
        seconds = float(told) if told.isdigit() else (parsedate_to_datetime(told) - timezone.now()).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return max(0.0, min(seconds, float(limit("SYNC_EXPORT_RETRY_AFTER_SECONDS_MAX"))))
