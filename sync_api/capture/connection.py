"""Makes every connection of a synced database fit for capture.

Gotchas, each with a test:
1. SQLite in Django's manual mode (`set_autocommit(False)`): `commit()` empties no list that could mark the unit, so
   a new unit is seen by `in_transaction` being false before a statement. That holds for raw BEGIN and COMMIT too.
2. A single autocommit statement needs no atomic() on SQLite: it is one transaction by itself, with its triggers'
   writes. An atomic() round it would even fail: INSERT ... RETURNING is still being read when the block commits.
3. `executemany` in autocommit commits each row alone, so it gets its atomic().
4. PostgreSQL's transaction-local settings are undone by a rollback to a savepoint, so they are sent again.
5. The wrapper is put first in the list: `connection.execute_wrapper()` removes the last one when it ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core import mail
from django.db import transaction

from sync_api import clock
from sync_api.capture.context import CONTEXT
from sync_api.capture.state import CaptureState, local_offset
from sync_api.exceptions import ReasonRequired, TruncateRefused

REMEDY = "syncserver__synced_tables_are_written_through_manage_py_only"
"""The function every SQLite trigger calls first: another program's write fails naming it."""

CACHE_KIBIBYTES = 16 * 1024
"""Page cache of a SQLite connection. With SQLite's own 2 MB a bulk write spills pages into the WAL again and again,
and the captured rows, which are as large as the rows themselves, would pay for most of it."""

CHECKPOINT_PAGES = 4_000
"""Pages in the WAL (16 MB) before they are moved into the database file. A row that is written, sealed and receipted
soon after is then moved once instead of three times."""

WRITES = re.compile(
    r"\s*(?:/\*.*?\*/\s*|--[^\n]*\n\s*)*(INSERT|UPDATE|DELETE|REPLACE|WITH|MERGE|COPY|TRUNCATE)\b",
    re.I | re.S,
)
COPIES_IN = re.compile(r"\s*(?:/\*.*?\*/\s*|--[^\n]*\n\s*)*COPY\b.*\bFROM\b", re.I | re.S)
IDLE, INERROR = 0, 3
"""Transaction states of libpq (PQTransactionStatusType)."""
UNDOES = re.compile(r"\s*ROLLBACK\b", re.I)
REASON_STATE = "SY001"
TRUNCATE_STATE = "SY002"


class CaptureWrapper:
    """The execute wrapper of one connection."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.state = CaptureState(connection)

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        text = sql if isinstance(sql, str) else sql.as_string(self.connection.connection)
        if self.connection.vendor == "sqlite":
            return self.on_sqlite(execute, text, sql, params, many, context)
        return self.on_postgresql(execute, text, sql, params, many, context)

    def on_sqlite(self, execute: Callable[..., Any], text: str, sql: Any, params: Any, many: bool, context: Any) -> Any:
        raw = self.connection.connection
        if raw is not None and not raw.in_transaction:
            self.state.end_unit()
            if many and self.connection.get_autocommit() and WRITES.match(text):
                with transaction.atomic(using=self.connection.alias):
                    return self.on_sqlite(execute, text, sql, params, many, context)
        if callable(CONTEXT.get().user) and WRITES.match(text):
            self.state.begin_unit()  # asks for the user now: a trigger could not query
        was_inside, self.state.inside_wrapper = self.state.inside_wrapper, True
        self.state.error = None
        try:
            return execute(sql, params, many, context)
        except Exception as error:
            kept, self.state.error = self.state.error, None
            if kept is not None:
                raise kept from error
            raise
        finally:
            self.state.inside_wrapper = was_inside

    def on_postgresql(
        self, execute: Callable[..., Any], text: str, sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        raw = self.connection.connection
        if raw is None or raw.info.transaction_status == IDLE:
            self.state.end_unit()
        if not WRITES.match(text):
            if UNDOES.match(text):
                self.state.sent = None
            return execute(sql, params, many, context)
        if raw is None or (self.connection.get_autocommit() and raw.info.transaction_status == IDLE):
            with transaction.atomic(using=self.connection.alias):
                return self.on_postgresql(execute, text, sql, params, many, context)
        self.send_context()
        try:
            return execute(sql, params, many, context)
        except Exception as error:
            refused = refusal(error)
            if refused is not None:
                raise refused from error
            raise

    def send_context(self) -> None:
        """Hand who, why and where to the triggers, for this transaction only and once, by the raw cursor: it is
        not one of the program's own statements."""
        state = self.state
        context = CONTEXT.get()
        if state.sent is not None and state.sent[0] is context:
            return
        raw = self.connection.connection
        if raw.info.transaction_status == INERROR:
            return
        state.read_context()
        capture = "off" if context.suspended is not None or not state.settings.capture else "on"
        with raw.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('syncserver.user', %s, true), set_config('syncserver.reason', %s, true),"
                " set_config('syncserver.producer', %s, true), set_config('syncserver.device', %s, true),"
                " set_config('syncserver.utc_offset', %s, true), set_config('syncserver.capture', %s, true),"
                " set_config('syncserver.truncate', %s, true)",
                [
                    (state.user or "").replace("\0", ""),
                    (state.reason or "").replace("\0", ""),
                    state.producer,
                    state.settings.device,
                    str(local_offset()),
                    capture,
                    "tests" if hasattr(mail, "outbox") else "",
                ],
            )
        state.sent = (context,)
        state.unit = 1

    @contextmanager
    def copying(self, statement: Any) -> Iterator[None]:
        """Round a COPY by the driver's own call, which no execute wrapper sees: it is told who and why all the same."""
        text = statement if isinstance(statement, str) else statement.as_string(self.connection.connection)
        raw = self.connection.connection
        if not COPIES_IN.match(text):
            yield
        elif self.connection.get_autocommit() and raw.info.transaction_status == IDLE:
            self.state.end_unit()
            with transaction.atomic(using=self.connection.alias):
                self.send_context()
                yield
        else:
            self.send_context()
            yield


def copy_with_context(connection: Any) -> None:
    """Let the cursors of a PostgreSQL connection hand who and why to the triggers before a COPY."""
    plain: Any = connection.connection.cursor_factory

    class CapturingCursor(plain):  # type: ignore[misc]
        @contextmanager
        def copy(self, statement: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
            wrapper = next(w for w in connection.execute_wrappers if isinstance(w, CaptureWrapper))
            with wrapper.copying(statement), super().copy(statement, *args, **kwargs) as copy:
                yield copy

    connection.connection.cursor_factory = CapturingCursor


def unit_of(connection: Any) -> int:
    """The unit of the connection's running transaction, on SQLite. Call inside a transaction."""
    wrapper = next(w for w in connection.execute_wrappers if isinstance(w, CaptureWrapper))
    wrapper.state.begin_unit()
    return wrapper.state.unit


def refusal(error: BaseException) -> Exception | None:
    """The clear error behind a refusal that a PostgreSQL trigger raised."""
    diag = getattr(error.__cause__, "diag", None)
    if diag is None:
        return None
    if diag.sqlstate == REASON_STATE:
        return ReasonRequired(model=diag.message_detail or "a synced model")
    if diag.sqlstate == TRUNCATE_STATE:
        return TruncateRefused(table=diag.message_detail or "")
    return None


def prepare_connection(connection: Any, **kwargs: Any) -> None:
    """Receiver of `connection_created`."""
    if connection.vendor not in ("sqlite", "postgresql"):
        return
    wrapper = next((w for w in connection.execute_wrappers if isinstance(w, CaptureWrapper)), None)
    if wrapper is None:
        wrapper = CaptureWrapper(connection)
        connection.execute_wrappers.insert(0, wrapper)
    else:
        wrapper.state = CaptureState(connection)
    if connection.vendor == "sqlite":
        prepare_sqlite(connection, wrapper.state)
    elif hasattr(connection.connection.cursor_factory, "copy"):
        copy_with_context(connection)


def prepare_sqlite(connection: Any, state: CaptureState) -> None:
    raw = connection.connection
    functions: list[tuple[str, int, Callable[..., Any]]] = [
        (REMEDY, 0, state.is_on),
        ("syncserver_has_reason", 1, state.has_reason),
        ("syncserver_unit", 0, lambda: state.unit),
        ("syncserver_now", 0, clock.source(connection.alias)),
        ("syncserver_user", 0, lambda: state.user),
        ("syncserver_reason", 0, lambda: state.reason),
        ("syncserver_producer", 0, lambda: state.producer),
        ("syncserver_device", 0, lambda: state.settings.device),
        ("syncserver_utc_offset", 0, lambda: state.utc_offset),
    ]
    for name, arguments, function in functions:
        raw.create_function(name, arguments, function)
    raw.execute("PRAGMA recursive_triggers=ON")
    if state.settings.capture and not raw.in_transaction and not is_in_memory(connection):
        raw.execute("PRAGMA journal_mode=WAL")
        raw.execute("PRAGMA synchronous=FULL")
        raw.execute(f"PRAGMA cache_size=-{CACHE_KIBIBYTES}")
        raw.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")


def is_in_memory(connection: Any) -> bool:
    return bool(connection.is_in_memory_db())
