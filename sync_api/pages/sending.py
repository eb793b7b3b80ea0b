"""Sends in a thread of the web process, one at a time per laptop, and tells how far it is in a small file.

The file lies beside the device's keys, so that every process of the web server reads the same. A lock on a second
file says whether a push is running: it ends with the process that held it, so that a push that was killed is known.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import orjson
from django.conf import settings
from django.db import connections
from django.utils import timezone
from filelock import FileLock, Timeout

from sync_api.client import push
from sync_api.client.waiting import waiting_transactions
from sync_api.conf import alias_settings
from sync_api.exceptions import SyncError
from sync_api.wire.keys import device_folder, replace_private

logger = logging.getLogger(__name__)

PROGRESS_FILE = "sending.json"
LOCK_FILE = "sending.lock"
WRITE_SECONDS = 0.25
LOCK_SECONDS_MAX = 0.5
INTERRUPTED = "sending_interrupted"
FAILED = "internal_error"


@dataclass(frozen=True, slots=True)
class Sending:
    """How the last push stands. `state` is none, running, done or failed; `code` and `text` are those of the error."""

    state: str = "none"
    began_at: str = ""
    ended_at: str = ""
    total: int = 0
    sent: int = 0
    parked: int | None = None
    code: str = ""
    text: str = ""

    @property
    def is_running(self) -> bool:
        return self.state == "running"

    @property
    def moment(self) -> datetime | None:
        return datetime.fromisoformat(self.ended_at or self.began_at) if self.began_at else None


def last_sending(alias: str) -> Sending:
    """The push that runs, or else the last one."""
    folder = device_folder(alias_settings(alias).device)
    told = _read(folder)
    if not told.is_running or _is_locked(folder):
        return told
    told = _read(folder)  # it may have ended since
    if told.is_running and not _is_locked(folder):
        return replace(told, state="failed", code=INTERRUPTED, text="The program was stopped while it was sending.")
    return told


def _read(folder: Path) -> Sending:
    try:
        return Sending(**orjson.loads((folder / PROGRESS_FILE).read_bytes()))
    except (FileNotFoundError, orjson.JSONDecodeError, TypeError):
        return Sending()


def start_sending(alias: str) -> bool:
    """Begin a push in a thread of this process. False when one is running already, here or in another process."""
    folder = device_folder(alias_settings(alias).device)
    lock = _lock(folder)
    if lock is None:
        return False
    sending = Sending(state="running", began_at=timezone.now().isoformat(), total=waiting_transactions(alias))
    _write(folder, sending)
    threading.Thread(target=_send, args=(alias, folder, lock, sending), name="sending", daemon=True).start()
    return True


def _send(alias: str, folder: Path, lock: FileLock, sending: Sending) -> None:
    progress = _Progress(folder, sending)
    try:
        report = push(alias, allow_http=bool(getattr(settings, "SYNC_ALLOW_HTTP", False)), progress=progress.advance)
        ended = replace(progress.sending, state="done", parked=report.parked)
    except SyncError as error:
        ended = replace(progress.sending, state="failed", code=error.code, text=str(error))
    except Exception as error:  # the thread has no other reader: what happened is logged, and told on the page
        logger.error("Sending failed", extra={"error": type(error).__name__})
        ended = replace(progress.sending, state="failed", code=FAILED, text=f"{type(error).__name__} while sending.")
    finally:
        connections[alias].close()
    _write(folder, replace(ended, ended_at=timezone.now().isoformat()))
    lock.release()


class _Progress:
    """Counts what was delivered and tells it, not more often than people can read."""

    def __init__(self, folder: Path, sending: Sending) -> None:
        self.folder = folder
        self.sending = sending
        self.told_at = time.monotonic()

    def advance(self, transactions: int) -> None:
        sent = self.sending.sent + transactions
        self.sending = replace(self.sending, sent=sent, total=max(sent, self.sending.total))
        if time.monotonic() - self.told_at >= WRITE_SECONDS:
            _write(self.folder, self.sending)
            self.told_at = time.monotonic()


def _write(folder: Path, sending: Sending) -> None:
    replace_private(folder / PROGRESS_FILE, orjson.dumps(asdict(sending)))


def _lock(folder: Path) -> FileLock | None:
    """The lock, held until it is released or the process ends; None when another holds it.

    A page that looks whether a push is running holds it for a moment, hence the waiting.
    """
    lock = FileLock(folder / LOCK_FILE, timeout=LOCK_SECONDS_MAX, mode=0o600, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock


def _is_locked(folder: Path) -> bool:
    try:
        with FileLock(folder / LOCK_FILE, timeout=0, mode=0o600):
            return False
    except Timeout:
        return True
