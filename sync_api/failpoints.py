"""Places at which a test can kill the process: before and after every commit and every answer.

`SYNC_FAILPOINT=accept.stored` kills at the first passage, `SYNC_FAILPOINT=accept.stored:3` at the third. Without
the variable a failpoint costs one comparison.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

FAILPOINTS = (
    "seal.before_commit",
    "seal.after_commit",
    "push.before_send",
    "push.after_answer",
    "push.after_receipt",
    "carry.before_commit",
    "carry.after_commit",
    "relay.before_send",
    "relay.after_answer",
    "export.before_rename",
    "import.before_batch",
    "import.before_content",
    "files.before_commit",
    "files.after_commit",
    "files.after_chunk",
    "files.after_part",
    "files.before_clean",
    "accept.before_commit",
    "accept.after_commit",
    "accept.before_answer",
    "consume.before_write",
    "consume.before_commit",
    "consume.after_commit",
    "finalize.after_mark",
    "finalize.before_wipe",
    "finalize.after_wipe",
    "upload.before_commit",
    "upload.after_commit",
    "upload.before_answer",
    "erase.before_commit",
    "erase.after_commit",
)
"""Every named failpoint, in the order of the data's way."""

WANTED, _, _NTH = os.environ.get("SYNC_FAILPOINT", "").partition(":")
_left = int(_NTH or 1)

if WANTED and WANTED not in FAILPOINTS:
    raise RuntimeError(f"There is no failpoint '{WANTED}'. Use one of: {', '.join(FAILPOINTS)}.")


watcher: Callable[[str], None] | None = None
"""The simulator's: told of every passage, it may raise what no code catches, as a kill in one of many installations."""


def failpoint(name: str) -> None:
    """Kill this process here, when the environment asks for it."""
    global _left
    if watcher is not None:
        watcher(name)
    if name != WANTED:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
