"""Statements to and fro with an installation that is visited: receipts, revocations, custody, states of devices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlencode

import orjson

from sync_api.client.http import JSON, Server
from sync_api.conf import limit
from sync_api.exceptions import NotTheServer
from sync_api.wire.certificates import canonical

DEVICES_AT_ONCE = 50


def bring_statements(server: Server, statements: Iterable[dict[str, Any]]) -> int:
    """Hand on statements, as many at a time as one request may have; returns how many were new there."""
    brought = 0
    for some in pieces(statements):
        body = server.post("statements", orjson.dumps({"statements": some}), JSON).body
        brought += body["taken"] if type(body.get("taken")) is int else 0
    return brought


def get_statements(server: Server, devices: list[str] | None = None) -> list[Any]:
    """What they have to say about these devices (None: about all). Nothing of it is checked yet."""
    if devices is None:
        return list(pages(server, []))
    portions = [devices[start : start + DEVICES_AT_ONCE] for start in range(0, len(devices), DEVICES_AT_ONCE)]
    return [one for some in portions for one in pages(server, [("device", name) for name in some])]


def pages(server: Server, query: list[tuple[str, str]]) -> Iterator[Any]:
    after: str | None = ""
    while after is not None:
        body = server.get(f"statements?{urlencode([*query, ('after', after)])}").body
        statements, following = body.get("statements"), body.get("next")
        if not isinstance(statements, list) or not (following is None or goes_on(after, following)):
            raise NotTheServer(url=server.url, status=200)
        yield from statements
        after = following


def goes_on(after: str, following: Any) -> bool:
    return isinstance(following, str) and following > after


def pieces(statements: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Portions within the limits of one request, in number and, with room to spare, in bytes."""
    most, bytes_max = int(limit("SYNC_STATEMENTS_PER_REQUEST_MAX")), int(limit("SYNC_STATEMENTS_BYTES_MAX")) // 2
    piece: list[dict[str, Any]] = []
    size = 0
    for statement in statements:
        own = len(canonical(statement))
        if piece and (len(piece) == most or size + own > bytes_max):
            yield piece
            piece, size = [], 0
        piece.append(statement)
        size += own
    if piece:
        yield piece
