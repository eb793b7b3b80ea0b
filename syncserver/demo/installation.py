"""One machine of the story: its own folder, database, keys and processes."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncserver.demo.errors import StepFailed

PROJECT = Path(__file__).resolve().parent.parent.parent
MANAGE = PROJECT / "manage.py"
COMMAND_SECONDS_MAX = 120
START_SECONDS_MAX = 30
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "COLUMNS")


@dataclass(slots=True)
class Installation:
    """A laptop or a server. Its settings lie in its folder's `.env`, so a person can work in it as well."""

    name: str
    role: str
    folder: Path
    player: subprocess.Popen[str] | None = None

    def environment(self) -> dict[str, str]:
        """What every process of it starts with: nothing of this process's own settings."""
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        return {**kept, "PYTHONPATH": str(PROJECT), "DJANGO_SETTINGS_MODULE": "syncserver.settings"}

    def prepare(self, **limits: int) -> subprocess.Popen[str]:
        """Write its settings and begin to make its database; `finish` waits for it."""
        self.folder.mkdir(parents=True)
        facts = {
            "SECRET_KEY": secrets.token_urlsafe(48),
            "DATABASE_URL": f"sqlite:///{self.folder / 'db.sqlite3'}",
            "SYNC_ROLE": self.role,
            "SYNC_DEVICE": self.name,
            "SYNC_KEY_DIR": str(self.folder / "keys"),
            "MEDIA_ROOT": str(self.folder / "media"),
            **{name: str(value) for name, value in limits.items()},
        }
        settings = self.folder / ".env"
        settings.touch(mode=0o600)
        settings.write_text("".join(f"{name}={value}\n" for name, value in facts.items()))
        return self.start("migrate", "--verbosity", "0")

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """`manage.py ARGUMENTS` as a process of its own, in its folder."""
        return self.run_python(str(MANAGE), *arguments, **variables)

    def run_python(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**self.environment(), **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str], command: str, *, status: int = 0) -> str:
        """The output of a process. StepFailed unless it ends with `status`."""
        output, errors = process.communicate(timeout=COMMAND_SECONDS_MAX)
        if process.returncode != status:
            raise StepFailed(where=self.name, command=command, status=process.returncode, output=output + errors)
        return output

    def manage(self, *arguments: str, status: int = 0, **variables: str) -> str:
        process = self.start(*arguments, **variables)
        return self.finish(process, " ".join(arguments[:1]), status=status)

    def play(self, scene: str, *arguments: str) -> Any:
        """Play one scene of the story inside this installation; the facts it reports.

        One process plays all of an installation's scenes, until `close`.
        """
        if self.player is None:
            self.player = self.run_python("-m", "syncserver.demo.scenes")
        player = self.player
        assert player.stdin is not None, "opened as a pipe"
        assert player.stdout is not None, "opened as a pipe"
        player.stdin.write(json.dumps([scene, *arguments]) + "\n")
        player.stdin.flush()
        answer = player.stdout.readline()
        if not answer:
            self.player = None
            self.finish(player, f"(scene {scene})")
        return json.loads(answer)

    def close(self) -> None:
        """End the process that played the scenes."""
        if self.player is not None:
            self.player.communicate(timeout=COMMAND_SECONDS_MAX)
            self.player = None


@contextmanager
def serving(server: Installation) -> Iterator[str]:
    """The server's address while it answers HTTP on loopback: a gunicorn of its own."""
    port = free_port()
    log = server.folder / "gunicorn.log"
    command = ["-m", "gunicorn", "syncserver.wsgi", "--bind", f"127.0.0.1:{port}", "--log-level", "warning"]
    with log.open("a") as output:
        process = subprocess.Popen(
            [sys.executable, *command, "--worker-class", "gthread", "--threads", "4"],
            cwd=server.folder,
            env=server.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until_open(server, process, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


def wait_until_open(server: Installation, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise StepFailed(where=server.name, command="(gunicorn)", status=process.poll() or 0, output=log.read_text())


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
