"""Two observatories as processes of their own: one exports by schedule, the other imports over HTTP."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Installation, Web, installation, running_web

WAIT_SECONDS_MAX = 60.0
READ = """
import json
from tests.observatory_data import all_events, all_files
print(json.dumps([all_events("default"), all_files("default"), all_files("default", loose=True)]))
"""
CONFIGURE = """
from sync_api.exports.credentials import set_password
from sync_api.models import ExportConfiguration
one = ExportConfiguration(name={name!r}, entity_type={entity_type!r}, search={search!r}, protocol="meteorpi",
    target_url={url!r}, target_user="replica", sends_deletions=True, is_enabled={is_enabled!r})
set_password(one, "a long password")
one.save()
"""
USER = """
from syncserver.observatory.users import create_or_update_user
print(create_or_update_user("replica", "a long password", ["import"]))
"""
FILL = "from tests.observatory_data import fill; fill('default')"
ROLL_BACK = """
from datetime import timedelta
from syncserver.observatory.high_water import set_high_water_mark
from tests.observatory_data import CAMERA, DAY
set_high_water_mark(CAMERA, DAY + timedelta(days=1))
set_high_water_mark(CAMERA, DAY + timedelta(hours=1, minutes=3))
"""


def shell(one: Installation, code: str) -> str:
    return one.manage("shell", "--verbosity", "0", "-c", code)


def configure(source: Installation, web: Web, entity_type: str, *, is_enabled: bool = True, **search: Any) -> None:
    url = f"{web.url}/compat/meteorpi/import"
    facts = {"name": entity_type, "entity_type": f"observatory.{entity_type}", "search": search, "url": url}
    shell(source, CONFIGURE.format(**facts, is_enabled=is_enabled))


def read(one: Installation) -> list[Any]:
    answer: list[Any] = json.loads(shell(one, READ).strip().splitlines()[-1])
    return answer


def wait_for(target: Installation, wanted: list[Any], followers: list[subprocess.Popen[str]]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while time.monotonic() < deadline:
        assert [one.poll() for one in followers] == [None] * len(followers)
        if read(target) == wanted:
            return
        time.sleep(0.3)
    assert read(target) == wanted


@pytest.mark.alone  # two exporters, two servers: each waits for the others
@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_a_replica_follows_by_schedule(tmp_path: Path, vendor: str) -> None:
    extra = {"SYNC_EXPORT_TARGETS": "127.0.0.1:*", "SYNC_EXPORT_MARK_SECONDS": "0.2"}
    source = installation(tmp_path, role="server", device="source", apps=[], vendor=vendor, **extra)
    target = installation(tmp_path, role="server", device="target", apps=[], vendor=vendor)
    shell(target, USER)
    shell(source, FILL)
    with running_web(source), running_web(target) as web:
        configure(source, web, "FileRecord", exclude_events=True, is_enabled=False)
        assert source.manage_json("export_entities")["marked"] == 0
        source.manage("export_entities", "--enable", "FileRecord")
        followers = [source.start("export_entities", "--follow") for _ in range(2)]
        try:
            events, files, loose = read(source)
            wait_for(target, [[], loose, loose], followers)
            configure(source, web, "Event")  # while the exporter runs
            wait_for(target, [events, files, loose], followers)
            assert (len(events), len(files), len(loose)) == (5, 23, 6)
            shell(source, ROLL_BACK)
            wanted = read(source)
            assert len(wanted[0]) == 4, "the last event is later than the mark"
            wait_for(target, wanted, followers)
            stored = list(target.folder.glob("**/contents/??/*"))
            assert len(stored) == len({file["md5"] for file in wanted[1]}), "bytes of removed files are gone"
        finally:
            for follower in followers:
                follower.send_signal(signal.SIGINT)
                follower.communicate(timeout=60)
        assert source.manage_json("export_entities") == {
            "marked": 0,
            "complete": 0,
            "continue": 0,
            "failed": 0,
            "confused": 0,
        }
        told = web.requests()
        assert {line.split()[-1] for line in told} == {"200"}
        assert sum("/data/" in line for line in told) == 23, "two exporters, and each file's bytes once"
