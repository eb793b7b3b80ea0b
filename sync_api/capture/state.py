"""What one database connection knows while it writes: its unit, its writer, its settings."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from sync_api.capture.context import CONTEXT, CaptureContext
from sync_api.conf import alias_settings, host_name, limit
from sync_api.exceptions import ReasonRequired, SyncError, UnitTooLarge, UnitUnclear

UNIT_BITS = 62


class CaptureState:
    """One per connection. Its methods are what the SQLite triggers call; PostgreSQL gets the same facts as
    transaction-local settings."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.settings = alias_settings(connection.alias)
        self.producer = f"{self.settings.device}/{host_name()}/{connection.alias}"
        self.unit = 0
        self.rows = 0
        self.rows_max = int(limit("SYNC_UNIT_LINES_MAX"))
        self.inside_wrapper = False
        self.is_recording = 0
        self.context: CaptureContext | None = None
        self.user: str | None = None
        self.reason: str | None = None
        self.utc_offset: int | None = None
        self.error: SyncError | None = None
        self.sent: tuple[Any, ...] | None = None

    def end_unit(self) -> None:
        """The next captured change begins a new unit."""
        self.unit = 0
        self.sent = None

    def read_context(self) -> CaptureContext:
        """Take over the current context; the user is asked for once per context and unit."""
        context = CONTEXT.get()
        if context is not self.context or not self.unit:
            self.context = context
            self.user = context.user_name()
            self.reason = context.reason
            self.is_recording = int(context.suspended is None and self.settings.capture)
        return context

    def begin_unit(self) -> None:
        """Give the running database transaction its unit, when it has none yet."""
        if not self.unit:
            self.read_context()
            self.unit = secrets.randbits(UNIT_BITS) + 1
            self.utc_offset = local_offset()
            self.rows = 0

    def in_known_transaction(self) -> bool:
        """Whether a write that went past Django's cursor runs inside a transaction that Django began."""
        return bool(self.connection.in_atomic_block and self.connection.connection.in_transaction)

    # --- called by the SQLite triggers, in this order for each row

    def is_on(self) -> int:
        """1 when this change is to be recorded. Begins the unit."""
        if self.inside_wrapper and self.unit and self.rows < self.rows_max and CONTEXT.get() is self.context:
            self.rows += self.is_recording  # the short way, for every row but the first
            return self.is_recording
        self.read_context()
        if not self.is_recording:
            return 0
        if not self.inside_wrapper and not self.in_known_transaction():
            raise self.remember(UnitUnclear())
        self.begin_unit()
        self.rows += 1
        if self.rows > self.rows_max:
            raise self.remember(UnitTooLarge(rows=self.rows, rows_max=self.rows_max))
        return 1

    def has_reason(self, label: str) -> int:
        """1; raises ReasonRequired when the model's policy asks for a reason and there is none."""
        if not self.reason:
            raise self.remember(ReasonRequired(model=label))
        return 1

    def remember(self, error: SyncError) -> SyncError:
        """SQLite drops the text of an error raised in a function: keep the error for the wrapper to raise."""
        self.error = error
        return error


def local_offset() -> int:
    """Local time minus UTC, in minutes."""
    offset = datetime.now().astimezone().utcoffset()
    return 0 if offset is None else int(offset.total_seconds() // 60)
