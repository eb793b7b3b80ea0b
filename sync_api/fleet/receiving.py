"""Takes the heartbeat that a request brings. A bad one is left out; it never stands in the request's way."""

from __future__ import annotations

import base64
import binascii
import logging
from datetime import datetime
from typing import Any

import orjson
from django.db import Error

from sync_api.conf import limit
from sync_api.models import Statement
from sync_api.transactions import immediate
from sync_api.trust import take_statements
from sync_api.trust.verifying import has_form
from sync_api.wire.statements import digest_of

logger = logging.getLogger(__name__)


def take_heartbeat(alias: str, header: str, *, brought_by: str, received_at: datetime) -> bool:
    """Keep the heartbeat in a request's header, if it is the bringer's own word about itself; whether it is kept.

    `received_at` is when the request came, by the clock here: the claimed clock is compared with it. The same one
    again costs one look-up. Opens its own transaction; raises nothing.
    """
    statement = decoded(header)
    if statement is None or (statement["device"], statement["signer"]) != (brought_by, brought_by):
        return False
    try:
        rows = Statement.objects.using(alias).filter(digest=digest_of(statement))
        if rows.exists():
            return True
        with immediate(alias):
            taken = take_statements(alias, [statement], via=f"{brought_by}, heartbeat")
            if taken.new:
                rows.update(received_at=received_at)
        return bool(taken.stored)
    except Error as error:
        logger.warning("a heartbeat was not kept", extra={"device": brought_by, "kind": type(error).__name__})
        return False


def decoded(header: str) -> dict[str, Any] | None:
    """The heartbeat in the header's value; None when it is none."""
    if not header or len(header) > int(limit("SYNC_HEARTBEAT_BYTES_MAX")):
        return None
    try:
        statement = orjson.loads(base64.b64decode(header, validate=True))
    except (binascii.Error, ValueError):
        return None
    return statement if has_form(statement) and statement["kind"] == "heartbeat" else None
