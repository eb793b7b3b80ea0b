"""A field season without a network, by real processes: laptop -> stick -> site server -> stick -> central server, and
the receipts back. Every command is killed at its failpoints and run again: everything arrives exactly once."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import Installation, enrol, installation, running_web

pytestmark = pytest.mark.long

KILLED = -9
APPS = ["tests.portal"]
WATCH_SECONDS_MAX = 60.0


def field(folder: Path, vendor: str) -> tuple[Installation, Installation, Installation]:
    """A laptop that met its site's server once, to enrol, and a central server that has pinned the site's."""
    laptop = installation(folder, role="client", device="laptop-1", apps=APPS, TEST_BATCH_LINES="20")
    site = installation(folder, role="server", device="site", apps=APPS, vendor=vendor)
    central = installation(folder, role="server", device="central", apps=APPS, vendor=vendor)
    with running_web(site) as web:
        enrol(laptop, site, web.url)
    for here, there in ((site, central), (central, site)):
        key = there.manage_json("trust_server")["own"]["public_key"]
        here.manage("trust_server", there.device, "--key", key)
    return laptop, site, central


def counts(station: Installation, *options: str) -> object:
    return json.loads(station.manage("portal_count", *options))


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_a_season_by_stick_arrives_exactly_once_whatever_is_killed(tmp_path: Path, vendor: str) -> None:
    laptop, site, central = field(tmp_path, vendor)
    stick = tmp_path / "stick"
    stick.mkdir()
    laptop.manage("portal_make", "0", "60")
    for failpoint in ("seal.after_commit", "export.before_rename"):
        laptop.manage("export_bundle", "--to", str(stick), status=KILLED, SYNC_FAILPOINT=failpoint)
    assert list(stick.glob("*.zip")) == []
    laptop.manage("export_bundle", "--to", str(stick), "--piece-size", "5KB")
    files = [str(path) for path in sorted(stick.glob("*.zip"))]
    assert len(files) > 1
    for failpoint in ("import.before_batch:2", "accept.before_commit", "accept.after_commit"):
        site.manage("import_bundle", *reversed(files), status=KILLED, SYNC_FAILPOINT=failpoint)
    told = site.manage_json("import_bundle", *reversed(files))
    assert len(told["done"]) == len(files)
    site.manage("consume_transactions")
    assert counts(site, "--mirror") == counts(laptop)

    site.manage("export_bundle", "--to", str(stick), "--for", "central")
    (onward,) = set(stick.glob("site-*.zip"))
    central.manage("import_bundle", str(onward), status=KILLED, SYNC_FAILPOINT="accept.after_commit:2")
    central.manage("import_bundle", str(onward))
    central.manage("consume_transactions")
    assert counts(central, "--mirror") == counts(laptop)

    laptop.manage("import_bundle", str(onward))
    again = laptop.manage_json("export_bundle", "--to", str(stick))
    assert sum(one["batches"] for one in again["files"]) == 0
    for station in (laptop, site, central):
        station.manage("verify_chain")


def test_the_watched_folder_takes_what_is_put_in_beside_rubbish(tmp_path: Path) -> None:
    laptop, site, _ = field(tmp_path, "sqlite")
    stick = tmp_path / "stick"
    post = tmp_path / "post"
    stick.mkdir()
    laptop.manage("portal_make", "0", "10")
    laptop.manage("export_bundle", "--to", str(stick))
    (path,) = stick.glob("*.zip")
    quick = {"SYNC_BUNDLE_WATCH_SECONDS": "0.1", "SYNC_BUNDLE_SETTLE_SECONDS": "0.1"}
    watching = site.start("import_bundle", "--watch", str(post), env=quick)
    try:
        until(lambda: (post / "failed").is_dir(), watching)
        (post / "incoming" / "a-rubbish.zip").write_bytes(b"PK rubbish")
        path.rename(post / "incoming" / path.name)
        until(lambda: (post / "done" / path.name).exists(), watching)
        until(lambda: (post / "failed" / "a-rubbish.zip.txt").exists(), watching)
    finally:
        watching.kill()
        watching.communicate()
    site.manage("consume_transactions")
    assert counts(site, "--mirror") == counts(laptop)


def until(happened: Callable[[], bool], watching: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + WATCH_SECONDS_MAX
    while not happened():
        assert watching.poll() is None, watching.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
