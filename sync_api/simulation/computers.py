"""Computers: each an installation with its own SQLite file, keys, clock and version."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.db.backends.signals import connection_created

from sync_api import clock, conf
from sync_api.models import LocalDevice

PREFIX = "sim_"
"""Every alias of the simulation begins so; a project's own databases are never touched."""

START = 1_767_225_600_000_000_000
"""Where the simulated clocks begin: 1 January 2026, in nanoseconds since 1970 UTC."""

TICK = 1_000_000
"""Nanoseconds that pass each time a clock is asked."""


@dataclass(slots=True)
class Clock:
    """A computer's clock: rises by a tick each time it is asked, and jumps when it is set."""

    now: int = START
    told: int = 0
    """The last time told, in microseconds: that of the last captured change."""

    def __call__(self) -> int:
        self.now += TICK
        self.told = self.now // 1000
        return self.now


@dataclass(slots=True)
class Computer:
    """One computer. A clone has its original's device name and keys, and a file and a clock of its own."""

    name: str
    device: str
    role: str
    folder: Path
    clock: Clock = field(default_factory=Clock)
    app_version: str = "1.0.0"
    connection: Any = None

    @property
    def alias(self) -> str:
        return PREFIX + self.name.replace("-", "_")

    @property
    def file(self) -> Path:
        return self.folder / "db.sqlite3"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def installation(self) -> conf.Installation:
        return conf.Installation(self.alias, self.keys, self.app_version)

    def at_work(self) -> Any:
        """Inside, the process is this computer. Threads take turns at its one connection: opening it is what costs."""
        if getattr(connections._connections, self.alias, None) is not self.connection:  # type: ignore[attr-defined]
            connections[self.alias] = self.connection
        return conf.at_work(self.installation)

    def connect(self) -> None:
        """Make the alias known to Django."""
        self.keys.mkdir(parents=True, exist_ok=True)
        databases = connections.settings
        databases[self.alias] = connections.configure_settings({"default": {}, self.alias: database(self.file)})[
            self.alias
        ]
        self.connection = connections.create_connection(self.alias)
        self.connection.inc_thread_sharing()
        connections[self.alias] = self.connection
        settings.SYNC_DATABASES[self.alias] = {"role": self.role, "device": self.device}
        clock.SOURCES[self.alias] = self.clock

    def disconnect(self) -> None:
        self.close()
        if hasattr(connections._connections, self.alias):  # type: ignore[attr-defined]
            del connections[self.alias]
        connections.settings.pop(self.alias, None)
        settings.SYNC_DATABASES.pop(self.alias, None)
        clock.SOURCES.pop(self.alias, None)

    def close(self) -> None:
        """End the connection, as the end of a process does: what is not committed is gone."""
        self.connection.close()

    def copy_file(self, target: Path) -> None:
        """Copy the database as it stands. Closing moves the WAL into the file first."""
        self.close()
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.file, target)

    def fill_disk(self) -> int:
        """Let the database grow no more, until the connection is closed. How many pages it has."""
        with connections[self.alias].cursor() as cursor:
            cursor.execute("PRAGMA page_count")
            (pages,) = cursor.fetchone()
            cursor.execute(f"PRAGMA max_page_count = {int(pages)}")
        return int(pages)

    def replace_file(self, source: Path) -> None:
        self.close()
        for rest in self.folder.glob("db.sqlite3-*"):
            rest.unlink()
        shutil.copyfile(source, self.file)


def database(file: Path) -> dict[str, Any]:
    """The end of a request closes no connection: opening one is what costs, and a killed process closes its own."""
    options = {"transaction_mode": "IMMEDIATE", "timeout": 5}
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(file),
        "OPTIONS": options,
        "CONN_MAX_AGE": None,
    }


def hurry(connection: Any, **kwargs: Any) -> None:
    """Receiver of connection_created: no power cut is simulated, so nothing has to reach the disk."""
    if connection.alias.startswith(PREFIX):
        connection.connection.execute("PRAGMA synchronous=OFF")


COLLECT_EVERY = 50_000
MEMORY = Path("/dev/shm")  # noqa: S108 - only looked at: files there are made by tempfile, with names of their own
MEMORY_BYTES_MIN = 1024**3


def fast_folder() -> str | None:
    """Where the simulated disks cost least: in memory, if there is room; else None, for the usual place."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES_MIN:
        return str(MEMORY)
    return None


SETTINGS: dict[str, Any] = {
    "SYNC_BATCH_LINES": 6,
    "SYNC_BACKOFF_SECONDS": 0.0,
    "SYNC_RETRY_AFTER_SECONDS_MAX": 0.0,
    "SYNC_ATTEMPTS_MAX": 2,
    "SYNC_ENROL_ATTEMPTS_PER_MINUTE_MAX": 1_000_000,
    "SYNC_VISITS_PER_MINUTE_MAX": 1_000_000,
    "SYNC_HEARTBEAT_SECONDS": 0.0,
    "SYNC_PARKED_RETRY_SECONDS": 0.0,
    "SYNC_CIRCUIT_SECONDS": 0.0,
    "SYNC_CIRCUIT_SECONDS_MAX": 0.0,
    "SYNC_SERVER_DATABASE": "",
    "SYNC_ADDRESSES": [],
    "ALLOWED_HOSTS": [".invalid"],
    "ALLOW_MODEL_SERIALIZATION": True,
}
"""Small batches, no waiting."""


@contextmanager
def simulated_settings() -> Iterator[None]:
    """The settings of a simulation; put back afterwards."""
    missing = object()
    wanted = {**SETTINGS, "SYNC_DATABASES": {}}
    before = {name: getattr(settings, name, missing) for name in wanted}
    connection_created.connect(hurry, dispatch_uid="sync_api.simulation.hurry")
    logging.disable(logging.CRITICAL)  # refusals and full disks are wanted here
    thresholds = gc.get_threshold()
    gc.set_threshold(COLLECT_EVERY, *thresholds[1:])  # thousands of short-lived queries: looking for cycles is rare
    try:
        for name, value in wanted.items():
            setattr(settings, name, value)
        yield
    finally:
        gc.set_threshold(*thresholds)
        logging.disable(logging.NOTSET)
        connection_created.disconnect(dispatch_uid="sync_api.simulation.hurry")
        for name, value in before.items():
            if value is missing:
                delattr(settings, name)
            else:
                setattr(settings, name, value)


class Template:
    """A migrated, empty database, made once and copied for every computer."""

    def __init__(self, folder: Path) -> None:
        self.computer = Computer("template", "template", "client", folder / "template")
        with ExitStack() as stack:
            self.computer.connect()
            stack.callback(self.computer.disconnect)
            with self.computer.at_work():
                call_command("migrate", database=self.computer.alias, verbosity=0, interactive=False, run_syncdb=True)

    def install(self, computer: Computer) -> None:
        """Give a new computer its database: the template under its own name, in an epoch of its own."""
        computer.folder.mkdir(parents=True, exist_ok=True)
        computer.connect()
        shutil.copyfile(self.computer.file, computer.file)
        LocalDevice.objects.using(computer.alias).update(
            name=computer.device, role=computer.role, epoch=uuid.uuid4().hex
        )
