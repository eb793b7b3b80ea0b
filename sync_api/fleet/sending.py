"""A heartbeat on its way: made once per push, sent in a header with every request, so that it costs none."""

from __future__ import annotations

import base64
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.utils import timezone

from sync_api.clock import source
from sync_api.conf import alias_settings, limit
from sync_api.exceptions import NotEnrolled
from sync_api.fleet.facts import heartbeat_facts
from sync_api.transactions import immediate
from sync_api.trust import make_statement
from sync_api.trust.taking import keep
from sync_api.wire.keys import device_keys
from sync_api.wire.statements import sign_statement


class Heartbeat:
    """This installation's heartbeat for the requests of one connection.

    What it says is looked up once, here; `header` touches no database, so that a thread that only waits for the
    network can ask for it. Before this device enrolled it says nothing.
    """

    def __init__(self, alias: str) -> None:
        name = alias_settings(alias).device
        self.keys = device_keys(name)
        self.tell_time = source(alias)
        self.statement: dict[str, Any] | None = None
        with suppress(NotEnrolled):
            self.statement = make_statement(alias, "heartbeat", name, **heartbeat_facts(alias))
        self.claimed_ns = self.tell_time()

    def header(self) -> str:
        """The header's value; empty when there is nothing to say. A request that leaves SYNC_HEARTBEAT_SECONDS after
        the last claims the time at which it leaves."""
        if self.statement is None:
            return ""
        gone = (self.tell_time() - self.claimed_ns) / 1e9
        if abs(gone) >= float(limit("SYNC_HEARTBEAT_SECONDS")):
            self._set_clock(self.statement, gone)
        return base64.b64encode(orjson.dumps(self.statement)).decode()

    def _set_clock(self, statement: dict[str, Any], gone: float) -> None:
        clock = datetime.fromisoformat(statement["clock"]) + timedelta(seconds=gone)
        facts = {name: value for name, value in statement.items() if name != "signature"}
        moments = {"at": timezone.now().isoformat(), "clock": clock.isoformat()}
        self.claimed_ns += round(gone * 1e9)
        self.statement = sign_statement({**facts, **moments}, self.keys)


def keep_own_heartbeat(alias: str) -> None:
    """Make this installation's heartbeat and keep it among the statements, for roads on which others fetch them.

    Opens its own transaction. A server has none, nor has a device before it enrolled.
    """
    own = alias_settings(alias)
    if own.role not in ("client", "relay"):
        return
    try:
        statement = make_statement(alias, "heartbeat", own.device, **heartbeat_facts(alias))
    except NotEnrolled:
        return
    with immediate(alias):
        keep(alias, statement, via="own")
