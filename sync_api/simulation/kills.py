"""A process that is killed at a failpoint: what it had not committed is gone, and nothing of its own runs after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sync_api import failpoints


class Killed(BaseException):
    """The end of one simulated process. Not an Exception, so that no code catches it."""


@contextmanager
def killed_at(name: str | None, nth: int = 1) -> Iterator[None]:
    """Inside, the `nth` passage of the failpoint raises Killed."""
    if name is None:
        yield
        return
    left = nth

    def passed(passage: str) -> None:
        nonlocal left
        if passage != name:
            return
        left -= 1
        if left == 0:
            raise Killed(name)

    failpoints.watcher = passed
    try:
        yield
    finally:
        failpoints.watcher = None
