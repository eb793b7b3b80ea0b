"""The null server of the floor: takes a request's bytes and answers 200."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

CHUNK = 1 << 20


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left > 0 and (data := environ["wsgi.input"].read(min(CHUNK, left))):
        left -= len(data)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
