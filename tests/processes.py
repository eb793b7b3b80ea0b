"""Real installations for tests: each with its own folder, database, keys and processes, on loopback only.

An installation runs `manage.py` with the project's own settings and an environment of its own, so nothing is
shared with the process that tests: what they agree on, they have agreed over HTTP.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from tests.postgres import postgres_url

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 10.0
COMMAND_SECONDS_MAX = 900.0
GUNICORN = [
    *(
        "--workers",
        "1",
        "--worker-class",
        "gthread",
        "--threads",
        "4",
        "--keep-alive",
        "75",
        "--timeout",
        "300",
    ),
    *("--preload", "--log-level", "warning", "--access-logformat", "%(m)s %(U)s %(s)s"),
]


class ProcessFailed(AssertionError):
    """A command of an installation ended otherwise than the test expects; its output is in the text."""


@dataclass
class Installation:
    """One laptop or server: its folder and the environment that its processes are started with."""

    folder: Path
    role: str
    device: str
    database_url: str
    apps: Sequence[str]
    extra: dict[str, str] = field(default_factory=dict)

    def environment(self, **extra: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        return {
            **kept,
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "tests.installed",
            "SECRET_KEY": f"tests-{self.device}",
            "DATABASE_URL": self.database_url,
            "SYNC_ROLE": self.role,
            "SYNC_DEVICE": self.device,
            "SYNC_APPS": ",".join(self.apps),
            "SYNC_KEY_DIR": str(self.folder / "keys"),
            "MEDIA_ROOT": str(self.folder / "media"),
            "ALLOWED_HOSTS": "127.0.0.1,localhost",
            **self.extra,
            **extra,
        }

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """`manage.py ARGUMENTS` as a process of its own; `env` adds to its environment."""
        return subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            cwd=self.folder,
            env=self.environment(**options.pop("env", {})),
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options},
        )

    def manage(self, *arguments: str, status: int = 0, **env: str) -> str:
        """What `manage.py ARGUMENTS` prints. ProcessFailed unless it ends with `status` (-9: killed)."""
        with self.start(*arguments, env=env) as process:
            output, errors = process.communicate(timeout=COMMAND_SECONDS_MAX)
        if process.returncode != status:
            raise ProcessFailed(
                f"{self.device}: manage.py {' '.join(arguments)} ended with {process.returncode}, "
                f"expected {status}.\n"
                f"{output[-4000:]}\n{errors[-8000:]}"
            )
        return output

    def manage_json(self, *arguments: str, **env: str) -> Any:
        """The same with `--json`, decoded."""
        output = self.manage(*arguments, "--json", **env)
        return json.loads(output.strip().splitlines()[-1] if "\n{" in output else output)

    def migrate(self) -> Installation:
        self.manage("migrate", "--verbosity", "0")
        return self


@dataclass
class Web:
    """A running server: gunicorn with one worker, so that a failpoint's kill takes the answering process."""

    process: subprocess.Popen[str]
    url: str
    access_log: Path

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def kill(self) -> None:
        """SIGKILL to the whole of it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(START_SECONDS_MAX)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS_MAX)
        self.kill()

    def requests(self) -> list[str]:
        """One line per request answered so far, as 'METHOD PATH STATUS'."""
        return self.access_log.read_text().splitlines() if self.access_log.exists() else []


def start_web(
    installation: Installation, *, port: int | None = None, application: str = "syncserver.wsgi", **env: str
) -> Web:
    """The installation's server on a loopback port, in its own process group; returns once it listens."""
    port = port or free_port()
    log = installation.folder / f"access-{uuid.uuid4().hex[:8]}.log"
    output = (installation.folder / "web.log").open("a")
    command = [sys.executable, "-m", "gunicorn", application, *GUNICORN, "--access-logfile", str(log)]
    process = subprocess.Popen(
        [*command, "--bind", f"127.0.0.1:{port}"],
        cwd=installation.folder,
        env=installation.environment(**env),
        text=True,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    output.close()
    web = Web(process, f"http://127.0.0.1:{port}", log)
    wait_until_open(port, process, installation.folder / "web.log")
    return web


@contextmanager
def running_web(installation: Installation, **env: str) -> Iterator[Web]:
    web = start_web(installation, **env)
    try:
        yield web
    finally:
        web.stop()


def wait_until_open(port: int, process: subprocess.Popen[str], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ProcessFailed(f"The server ended with {process.returncode}.\n{log.read_text()[-8000:]}")
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    process.kill()
    raise ProcessFailed(f"The server did not listen within {START_SECONDS_MAX} s.\n{log.read_text()[-8000:]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def installation(
    folder: Path, *, role: str, device: str, apps: Sequence[str], vendor: str = "sqlite", **extra: str
) -> Installation:
    """A new installation below `folder`, its database made and migrated."""
    own = folder / device
    own.mkdir(parents=True)
    if vendor != "sqlite":
        return Installation(own, role, device, new_postgres_database(device), apps, dict(extra)).migrate()
    new = Installation(own, role, device, f"sqlite:///{own / 'db.sqlite3'}", apps, dict(extra))
    kind = (role, device, tuple(apps), tuple(sorted(extra.items())))
    if kind not in migrated:
        new.migrate()
        migrated[kind] = (own / "db.sqlite3").read_bytes()
        return new
    (own / "db.sqlite3").write_bytes(migrated[kind])
    begin_another_life(own / "db.sqlite3")
    return new


migrated: dict[tuple[object, ...], bytes] = {}
"""SQLite files as migrating left them, by kind of installation: migrating takes seconds, and tests make many."""


def begin_another_life(path: Path) -> None:
    """A copied database is a device's new life, so its epoch is another."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE sync_api_localdevice SET epoch = ?", [uuid.uuid4().hex])
        connection.commit()


def new_postgres_database(name: str) -> str:
    """The DATABASE_URL of a new, empty database on the tests' PostgreSQL."""
    database = f"{name.replace('-', '_').replace('.', '_')}_{uuid.uuid4().hex[:12]}"
    url = postgres_url()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{database}"')
        info = connection.info
        host, port, user, password = info.host, info.port, info.user, info.password
    credentials = quote(user) + (f":{quote(password)}" if password else "")
    if host.startswith("/"):
        return f"postgres://{credentials}@/{database}?host={quote(host, safe='/')}&port={port}"
    return f"postgres://{credentials}@{host}:{port}/{database}"


def enrol(laptop: Installation, server: Installation, url: str) -> None:
    """Register the laptop at the server and enrol it over HTTP, as an operator and a field worker would."""
    code = server.manage_json("add_device", laptop.device)["code"]
    laptop.manage("enrol", "--server", url, "--code", code)
