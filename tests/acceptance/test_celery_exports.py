"""The exporter as a Celery schedule: a real broker, worker and beat carry a source's files to a replica."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_observatory_exports import FILL, USER, configure, read, shell, wait_for
from tests.processes import free_port, installation, running_web, wait_until_open

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server on this machine for the broker"),
]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    """A Redis of its own, which keeps nothing."""
    port = free_port()
    log = tmp_path / "redis.log"
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            wait_until_open(port, process, log)  # type: ignore[arg-type]
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


def test_a_replica_follows_by_celery(tmp_path: Path, broker: str) -> None:
    pytest.importorskip("celery", reason="the extra `celery` is not installed")
    schedule = {"SYNC_EXPORT_MARK_SECONDS": "0.5", "CELERY_BROKER_URL": broker}
    source = installation(
        tmp_path, role="server", device="source", apps=[], **schedule, SYNC_EXPORT_TARGETS="127.0.0.1:*"
    )
    target = installation(tmp_path, role="server", device="target", apps=[])
    shell(target, USER)
    shell(source, FILL)
    with running_web(target) as web:
        configure(source, web, "FileRecord", exclude_events=True)
        command = [sys.executable, "-m", "celery", "-A", "syncserver.celery", "worker", "--beat", "--pool", "solo"]
        log = source.folder / "celery.log"
        with (
            log.open("w") as output,
            subprocess.Popen(
                [*command, "--schedule", str(source.folder / "beat")],
                cwd=source.folder,
                env=source.environment(),
                text=True,
                stdout=output,
                stderr=output,
            ) as worker,
        ):
            try:
                loose = read(source)[2]
                assert len(loose) == 6
                wait_for(target, [[], loose, loose], [worker])
            finally:
                worker.send_signal(signal.SIGTERM)
                worker.communicate(timeout=60)
    assert "Traceback" not in log.read_text()
