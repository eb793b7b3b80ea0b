"""Who makes a change and why: handed to the triggers by the connection that writes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

REASON_LENGTH_MAX = 2_000
USER_LENGTH_MAX = 150


@dataclass(frozen=True, slots=True)
class CaptureContext:
    """What is known of the writer. `user` may be a function, called at the first write."""

    user: str | Callable[[], str | None] | None = None
    reason: str | None = None
    suspended: str | None = None

    def user_name(self) -> str | None:
        name = self.user() if callable(self.user) else self.user
        return name[:USER_LENGTH_MAX] if name else command_name()


CONTEXT: ContextVar[CaptureContext] = ContextVar("sync_capture_context", default=CaptureContext())  # noqa: B039 - it is frozen  # noqa: B039 (frozen)


COMMAND_PROGRAMS = ("manage.py", "django-admin", os.path.join("django", "__main__.py"))


def command_name() -> str | None:
    """`command migrate` inside a management command, else None: a web process has users, not a command."""
    program = sys.argv[0] if sys.argv else ""
    if program.endswith(COMMAND_PROGRAMS) and len(sys.argv) > 1:
        return f"command {sys.argv[1]}"[:USER_LENGTH_MAX]
    return None


@contextmanager
def sync_context(*, user: Any = None, reason: str | None = None) -> Iterator[None]:
    """Attribute the changes made inside to `user`, for `reason`. What is not given stays as outside.

    `user` is a user name, an object with get_username(), or a function that returns a name.
    """
    outer = CONTEXT.get()
    inner = outer
    if user is not None:
        inner = replace(inner, user=user.get_username() if hasattr(user, "get_username") else user)
    if reason is not None:
        inner = replace(inner, reason=reason.strip()[:REASON_LENGTH_MAX] or None)
    token = CONTEXT.set(inner)
    try:
        yield
    finally:
        CONTEXT.reset(token)


@contextmanager
def not_captured(why: str) -> Iterator[None]:
    """The one way to write to synced tables without recording it: for wiping after finalize and for applying
    changes that were captured elsewhere. `why` is required."""
    if not why.strip():
        raise ValueError("Say why these writes are not captured.")
    token = CONTEXT.set(replace(CONTEXT.get(), suspended=why))
    try:
        yield
    finally:
        CONTEXT.reset(token)
