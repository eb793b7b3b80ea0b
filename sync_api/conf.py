"""Roles per database, and every limit by name. All of it can be set in Django's settings.

`SYNC_DATABASES = {"client": {"role": "client", "device": "laptop-1", "capture": True}}` speaks per alias;
`SYNC_ROLE` and `SYNC_DEVICE` are the short form for the `default` database. Without either, an alias named
`client`, `relay` or `server` has the role of its name.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS

ROLES = ("client", "relay", "server")


@dataclass(frozen=True, slots=True)
class Installation:
    """What belongs to one installation of several in one process: the database it serves, its keys, its version."""

    alias: str
    keys: Path
    app_version: str


_AT_WORK: ContextVar[Installation | None] = ContextVar("sync_installation_at_work", default=None)


@contextmanager
def at_work(installation: Installation) -> Iterator[None]:
    """Inside, this process (this thread of it) is `installation`, whatever the settings say. For the simulator."""
    token = _AT_WORK.set(installation)
    try:
        yield
    finally:
        _AT_WORK.reset(token)


@dataclass(frozen=True, slots=True)
class AliasSettings:
    """What one database alias is: its role, its device's name and whether writes are captured there."""

    alias: str
    role: str | None
    device: str
    capture: bool


def host_name() -> str:
    """This machine's name, as far as a device name may hold it."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).strip("-._")[:40] or "host"


def alias_settings(alias: str) -> AliasSettings:
    """The settings of one alias. An alias without a role is not synchronized: nothing is captured there."""
    databases: dict[str, dict[str, Any]] = getattr(settings, "SYNC_DATABASES", {})
    if alias in databases:
        own = databases[alias]
        role = own.get("role", "client")
        device = own.get("device") or f"{host_name()}-{alias}"
        return AliasSettings(alias, role, device, bool(own.get("capture", True)) and serialization_allowed())
    if databases:
        return AliasSettings(alias, None, "", False)
    if alias == DEFAULT_DB_ALIAS:
        role = getattr(settings, "SYNC_ROLE", "client")
        device = getattr(settings, "SYNC_DEVICE", "") or host_name()
        return AliasSettings(alias, role, device, serialization_allowed())
    if alias in ROLES:
        base = getattr(settings, "SYNC_DEVICE", "") or host_name()
        return AliasSettings(alias, alias, f"{base}-{alias}", serialization_allowed())
    return AliasSettings(alias, None, "", False)


def serialization_allowed() -> bool:
    """`ALLOW_MODEL_SERIALIZATION`: False turns capture off everywhere."""
    return bool(getattr(settings, "ALLOW_MODEL_SERIALIZATION", True))


def key_directory() -> Path:
    """Where private keys and tokens lie (`SYNC_KEY_DIR`), one folder per device, readable by the owner only."""
    here = _AT_WORK.get()
    return here.keys if here is not None else Path(getattr(settings, "SYNC_KEY_DIR", "keys"))


def files_directory(alias: str) -> Path:
    """Where this installation keeps the bytes of files (`SYNC_FILES_DIR`), one folder per device."""
    own = alias_settings(alias).device or alias
    here = _AT_WORK.get()
    root = here.keys / "files" if here is not None else Path(getattr(settings, "SYNC_FILES_DIR", "files"))
    return root / own


def files_alias() -> str:
    """The database whose records the file storage serves: `SYNC_FILES_DATABASE`, else `default`."""
    here = _AT_WORK.get()
    return here.alias if here is not None else str(getattr(settings, "SYNC_FILES_DATABASE", "") or DEFAULT_DB_ALIAS)


def server_alias() -> str:
    """The database that this process serves over REST: `SYNC_SERVER_DATABASE`, else the one of role server."""
    here = _AT_WORK.get()
    if here is not None:
        return here.alias
    named = getattr(settings, "SYNC_SERVER_DATABASE", "")
    if named:
        return str(named)
    servers = (alias for alias in settings.DATABASES if alias_settings(alias).role == "server")
    return next(servers, DEFAULT_DB_ALIAS)


def addresses() -> list[str]:
    """`SYNC_ADDRESSES`: host, and port unless it is the scheme's, under which this installation is reached."""
    return [str(address).lower() for address in getattr(settings, "SYNC_ADDRESSES", [])]


def app_version() -> str:
    """The study's own version (`SYNC_APP_VERSION`), told with every batch."""
    here = _AT_WORK.get()
    return here.app_version if here is not None else str(getattr(settings, "SYNC_APP_VERSION", "0.0.0"))


LIMITS: dict[str, int | float] = {
    # sealing: a batch is closed at the first unit that reaches one of these
    "SYNC_BATCH_LINES": 5_000,
    "SYNC_BATCH_BYTES": 4 * 1024 * 1024,
    # one unit is never split, so a batch may exceed the two above up to these
    "SYNC_UNIT_LINES_MAX": 250_000,
    "SYNC_UNIT_BYTES_MAX": 128 * 1024 * 1024,
    # accepting
    "SYNC_ENVELOPE_BYTES_MAX": 64 * 1024 * 1024,
    "SYNC_CONTENT_BYTES_MAX": 160 * 1024 * 1024,
    # a content of more than this may be at most so many times its compressed bytes
    "SYNC_DECOMPRESSION_FREE_BYTES": 16 * 1024 * 1024,
    "SYNC_DECOMPRESSION_RATIO_MAX": 200,
    "SYNC_HEADER_BYTES_MAX": 4 * 1024 * 1024,
    "SYNC_LINE_BYTES_MAX": 32 * 1024 * 1024,
    "SYNC_MODELS_PER_BATCH_MAX": 1_000,
    "SYNC_EARLY_BATCHES_MAX": 200,
    "SYNC_EARLY_BYTES_MAX": 256 * 1024 * 1024,
    "SYNC_EARLY_AGE_DAYS_MAX": 60,
    "SYNC_FORKS_KEPT_MAX": 50,
    # enrolment
    "SYNC_CODE_HOURS": 72,
    "SYNC_ENROL_ATTEMPTS_PER_MINUTE_MAX": 30,
    "SYNC_ENROL_BODY_BYTES_MAX": 16 * 1024,
    # people who upload
    "SYNC_PASSWORD_TRIES_PER_MINUTE_MAX": 10,
    "SYNC_ACCESS_KEY_TRIES_PER_MINUTE_MAX": 10,
    "SYNC_SESSION_SECONDS": 3_600,
    "SYNC_VALIDATE_RECORDS_MAX": 1_000,
    "SYNC_PEOPLE_BODY_BYTES_MAX": 4 * 1024 * 1024,
    "SYNC_WIRE_BODY_BYTES_MAX": 64 * 1024 * 1024,
    "SYNC_WIRE_FIELDS_MAX": 200_000,
    # uploads of tables: one request, its rows, and what one open upload may have staged
    "SYNC_UPLOAD_BODY_BYTES_MAX": 256 * 1024 * 1024,
    "SYNC_UPLOAD_ROWS_MAX": 500_000,
    "SYNC_UPLOAD_TABLES_MAX": 1_000,
    "SYNC_UPLOAD_STEPS_MAX": 100_000,
    "SYNC_UPLOAD_STAGED_BYTES_MAX": 1024 * 1024 * 1024,
    # ... how many refusals of one upload, and refused uploads of one device, are kept
    "SYNC_UPLOAD_REFUSALS_KEPT_MAX": 100,
    # sealing: rows read at a time
    "SYNC_SEAL_READ_ROWS": 250,
    # pushing
    "SYNC_CONNECT_SECONDS": 15.0,
    "SYNC_READ_SECONDS": 120.0,
    "SYNC_ANSWER_BYTES_MAX": 4 * 1024 * 1024,
    "SYNC_ATTEMPTS_MAX": 5,
    "SYNC_BACKOFF_SECONDS": 1.0,
    "SYNC_BACKOFF_SECONDS_MAX": 60.0,
    "SYNC_RETRY_AFTER_SECONDS_MAX": 300.0,
    # consuming: batches of one device before it is another's turn
    "SYNC_CONSUME_TURN_BATCHES": 10,
    "SYNC_PARKED_RETRY_UNITS_MAX": 10_000,
    "SYNC_PARKED_RETRY_SECONDS": 60.0,
    "SYNC_FOLLOW_SECONDS": 1.0,
    "SYNC_CONSUME_WORKERS_MAX": 32,
    # statements and visits
    "SYNC_STATEMENTS_PER_REQUEST_MAX": 1_000,
    "SYNC_STATEMENTS_BYTES_MAX": 4 * 1024 * 1024,
    "SYNC_VISITS_PER_MINUTE_MAX": 120,
    "SYNC_VISIT_SECONDS": 900,
    "SYNC_VISITS_PER_DEVICE_MAX": 20,
    "SYNC_NONCE_SECONDS": 120,
    "SYNC_NONCES_PER_DEVICE_MAX": 60,
    "SYNC_CUSTODY_PER_DEVICE_MAX": 200,
    "SYNC_CUSTODY_KEPT_MAX": 20_000,
    # different open alarms of one kind about one device
    "SYNC_ALARMS_OPEN_MAX": 50,
    # a batch received less than this before a backup's moment may have been committed after it
    "SYNC_DURABLE_MARGIN_SECONDS": 60,
    # payloads sealed to recipients: most recipients of one model
    "SYNC_RECIPIENTS_MAX": 32,
    # ... and most in the list that a server gives its devices
    "SYNC_RECIPIENTS_KNOWN_MAX": 1_000,
    # relays
    "SYNC_CARRIED_BYTES_MAX": 20 * 1024 * 1024 * 1024,
    "SYNC_PULL_BATCHES_PER_REQUEST": 200,
    "SYNC_CARRIED_FILES_BYTES_MAX": 20 * 1024 * 1024 * 1024,
    # bundles
    "SYNC_BUNDLE_BYTES_MAX": 4 * 1024 * 1024 * 1024 - 1,
    "SYNC_BUNDLE_FILES_MAX": 60_000,
    "SYNC_BUNDLE_MANIFEST_BYTES_MAX": 16 * 1024 * 1024,
    "SYNC_BUNDLE_SETTLE_SECONDS": 2.0,
    "SYNC_BUNDLE_WATCH_SECONDS": 5.0,
    # copies of what no server's backup holds yet: so many files at most, then they become one
    "SYNC_BACKUP_FILES_MAX": 20,
    # files: the largest one taken, and how much is read and written at a time
    "SYNC_FILE_BYTES_MAX": 4 * 1024 * 1024 * 1024,
    "SYNC_FILE_CHUNK_BYTES": 64 * 1024,
    # ... room that is left on the disk for everything else
    "SYNC_FILES_FREE_BYTES_MIN": 256 * 1024 * 1024,
    # ... how many are asked for in one request, and after how long is asked again for what was there
    "SYNC_FILES_PER_REQUEST_MAX": 1_000,
    "SYNC_FILES_ASK_AGAIN_HOURS": 24,
    # ... an upload that nobody continues ends; one writer that is silent for so long gives way to another
    "SYNC_UPLOAD_HOURS": 7 * 24,
    "SYNC_UPLOAD_READ_BYTES": 8 * 1024,
    "SYNC_UPLOAD_SILENT_SECONDS": 30.0,
    "SYNC_UPLOADS_PER_DEVICE_MAX": 200,
    # ... and what nothing names any more is kept for so long
    "SYNC_FILES_GRACE_HOURS": 24,
    # reconciling
    "SYNC_RECONCILE_RECORDS_MAX": 10_000,
    "SYNC_MANIFEST_BYTES_MAX": 16 * 1024 * 1024,
    # the router's way
    "SYNC_COPY_SECONDS": 5.0,
    # finalizing: how long one run waits for the server, and how often it asks
    "SYNC_FINALIZE_WAIT_SECONDS": 60.0,
    "SYNC_FINALIZE_ASK_SECONDS": 2.0,
    "SYNC_FINALIZE_LOCK_SECONDS": 30.0,
    # push targets: the circuit opens after so many failures in a row, first for this long, at most for that
    "SYNC_CIRCUIT_FAILURES": 5,
    "SYNC_CIRCUIT_SECONDS": 60.0,
    "SYNC_CIRCUIT_SECONDS_MAX": 3_600.0,
    # fleet: a heartbeat is made anew after so long, and taken up to this size in its header
    "SYNC_HEARTBEAT_SECONDS": 30.0,
    "SYNC_HEARTBEAT_BYTES_MAX": 6 * 1024,
    # ... and from when on it is said that a device is silent, its clock off, its disk nearly full
    "SYNC_SILENT_HOURS": 24,
    "SYNC_CLOCK_SKEW_SECONDS": 120.0,
    "SYNC_DISK_LOW_BYTES": 1024 * 1024 * 1024,
}


def limit(name: str) -> Any:
    """The named limit: Django's setting of that name, else the value in LIMITS."""
    return getattr(settings, name, LIMITS[name])
