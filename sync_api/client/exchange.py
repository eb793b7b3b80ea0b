"""Statements to and fro with an installation that is visited: receipts, revocations, custody, states of devices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from sync_api.client.http import JSON, Server
from sync_api.conf import limit
from sync_api.exceptions import NotTheServer


def bring_statements(server: Server, statements: Iterable[dict[str, Any]]) -> int:
    """Hand on statements, as many at a time as one request may have; returns how many were taken or known."""
    brought = 0
    for some in pieces(list(statements)):
        server.post("statements", orjson.dumps({"statements": some}), JSON)
        brought += len(some)
    return brought


def get_statements(server: Server) -> list[Any]:
    """What they have to say; nothing of it is checked yet."""
    statements = server.get("statements").body.get("statements")
    if not isinstance(statements, list):
        raise NotTheServer(url=server.url, status=200)
    return statements


def pieces(statements: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    most = int(limit("SYNC_STATEMENTS_PER_REQUEST_MAX"))
    return [statements[first : first + most] for first in range(0, len(statements), most)]
