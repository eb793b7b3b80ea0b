"""Large files over bad roads: tuspy as its authors made it, and our own client; a server that is killed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.acceptance.photos import contents, left_parts, photo_states, take_photos
from tests.cutting_road import cutting_road
from tests.processes import Installation, Web, enrol, installation, start_web

pytestmark = pytest.mark.alone  # what a cut costs is measured
MIB = 1024 * 1024
UPLOAD = """
import sys
from tusclient.client import TusClient
url, token, path, sha256 = sys.argv[1:]
client = TusClient(url + "/api/v1/files/uploads", headers={"Authorization": "Bearer " + token})
print("ready", flush=True)
sys.stdin.readline()
uploader = client.uploader(path, chunk_size=2 * 1024 * 1024, retries=200, retry_delay=0.1,
    metadata={"sha256": sha256, "filename": "film.mp4"}, upload_checksum=True)
uploader.upload()
"""


class Memory(threading.Thread):
    """The highest resident size of each process and its children, above what it was at the start."""

    def __init__(self, **pids: int) -> None:
        super().__init__(daemon=True)
        self.pids = pids
        self.idle = {name: self.now(pid) for name, pid in pids.items()}
        self.most = dict(self.idle)
        self.done = threading.Event()

    @staticmethod
    def now(pid: int) -> int:
        """The largest of a process and its children."""
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            return max(one.memory_info().rss for one in (process, *process.children(recursive=True)))
        return 0

    def run(self) -> None:
        while not self.done.wait(0.05):
            for name, pid in self.pids.items():
                self.most[name] = max(self.most[name], self.now(pid))

    def grown(self) -> dict[str, float]:
        self.done.set()
        return {name: (self.most[name] - self.idle[name]) / MIB for name in self.pids}


def film(folder: Path, size: int) -> tuple[Path, str]:
    path, digest = folder / "film.mp4", hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(size // MIB):
            part = os.urandom(MIB)
            digest.update(part)
            file.write(part)
    return path, digest.hexdigest()


def declared(folder: Path, central: Installation, web: Web, path: Path) -> Installation:
    """A laptop whose records, with the film's facts, are at the server, and not the film itself."""
    laptop = installation(folder, role="client", device="laptop-1", apps=[], TEST_ATTEMPTS_MAX="30")
    enrol(laptop, central, web.url)
    take_photos(laptop, ("P-1", path), name="film.mp4")
    told = laptop.manage_json("push_transactions", "--files-bytes-max", "0")
    assert (told["files"]["files"], told["files"]["waiting"]) == (0, 1)
    central.manage("consume_transactions")
    assert photo_states(central)["states"][0][2] == "pending"
    return laptop


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_tuspy_brings_200_mb_over_50_cuts_and_5_kills(tmp_path: Path, vendor: str) -> None:
    size, cuts, kills = (200, 50, 5) if vendor == "sqlite" else (40, 10, 2)
    size *= MIB
    central = installation(tmp_path, role="server", device="central", apps=[], vendor=vendor)
    path, sha256 = film(tmp_path, size)
    running = [start_web(central)]
    laptop = declared(tmp_path, central, running[0], path)
    token = next((laptop.folder / "keys").rglob("token*")).read_text().strip()

    def kill() -> None:
        running[0].kill()
        running[0] = start_web(central, port=running[0].port)
        memory.pids["server"] = running[0].process.pid

    at = [size * number // (cuts + 1) for number in range(1, cuts + 1)]
    events = [(size * number // (kills + 1) + MIB, kill) for number in range(1, kills + 1)]
    with cutting_road(running[0].port, at, events) as road:
        client = subprocess.Popen(
            [sys.executable, "-c", UPLOAD, road.url, token, str(path), sha256],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        memory = Memory(client=client.pid, server=running[0].process.pid)
        memory.start()
        began = time.monotonic()
        try:
            _, errors = client.communicate("go\n", timeout=500)
        finally:
            client.kill()
            running[0].stop()
    seconds = time.monotonic() - began
    grown = memory.grown()
    twice = road.carried - size
    print(f"{size} bytes in {seconds:.1f} s, {road.broken} cuts, {twice} bytes twice ({twice / size:.2%}), {grown}")
    assert client.returncode == 0, errors[-3000:]
    assert (road.broken, road.events) == (cuts, [])
    assert list(contents(central)) == [sha256]
    assert left_parts(central) == []
    assert photo_states(central)["states"][0][2:4] == ["here", sha256]
    assert twice <= size // 100
    assert max(grown.values()) < 64


def test_our_own_push_goes_on_over_cuts_and_kills(tmp_path: Path) -> None:
    size = 24 * MIB
    central = installation(tmp_path, role="server", device="central", apps=[])
    path, sha256 = film(tmp_path, size)
    running = [start_web(central)]
    laptop = declared(tmp_path, central, running[0], path)

    def kill() -> None:
        running[0].kill()
        running[0] = start_web(central, port=running[0].port)

    at = [2 * MIB * number for number in range(1, 11)]
    with cutting_road(running[0].port, at, [(7 * MIB, kill), (15 * MIB, kill)]) as road:
        move_server(laptop, road.url)
        for _ in range(8):  # as a person would: again, until it says that it is done
            with laptop.start("push_transactions", "--json") as push:
                push.communicate(timeout=300)
            if push.returncode == 0:
                break
    running[0].stop()
    assert push.returncode == 0
    assert road.broken == 10
    assert list(contents(central)) == [sha256]
    assert road.carried - size <= size // 50
    assert laptop.manage_json("sync_status")["own"]["files"]["waiting"] == 0


def move_server(laptop: Installation, url: str) -> None:
    """The laptop reaches its server at another address from now on."""
    code = f"from sync_api.models import LocalDevice; LocalDevice.objects.update(server_url={url!r})"
    laptop.manage("shell", "--verbosity", "0", "-c", code)
