"""A laptop, a middleman, a site server and a central server, in one process, with a stick between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audit.models import Device
from sync_api.bundles.export import ExportReport, export_bundle
from sync_api.bundles.importing import ImportReport, import_bundle
from sync_api.models import Bundle, CarriedBatch, IncomingBatch, LocalDevice, OutgoingBatch, Statement, TrustedServer
from sync_api.sealing import seal
from sync_api.wire.keys import device_keys
from tests.integration.field import captured, enrolled, local

LAPTOP, RELAY, SITE, CENTRAL = "test-laptop", "test-relay", "test-site", "test-central"
ALIASES = {
    "sqlite": {"laptop": "default", "relay": "laptop_pg", "site": "server", "central": "server_pg"},
    "postgresql": {"laptop": "laptop_pg", "relay": "default", "site": "server_pg", "central": "server"},
}
DATABASES = ["default", "laptop_pg", "server", "server_pg"]


@dataclass(frozen=True)
class World:
    """The database aliases, and the stick."""

    laptop: str
    relay: str
    site: str
    central: str
    stick: Path

    def record(self, rows: int = 4) -> None:
        """So many saves on the laptop, each a unit."""
        first = 1 + OutgoingBatch.objects.using(self.laptop).count() * 1_000
        captured(self.laptop, LAPTOP, [1] * rows, first_unit=first)

    def batches(self, count: int) -> None:
        """So many sealed batches on the laptop."""
        for _ in range(count):
            self.record(2)
            seal(self.laptop, LAPTOP)

    def export(self, alias: str, **options: Any) -> ExportReport:
        return export_bundle(alias, self.stick, **options)

    def files(self) -> list[Path]:
        return sorted(self.stick.glob("*.zip"))

    def bring(self, alias: str) -> list[ImportReport]:
        """Import everything on the stick, and empty it."""
        reports = [import_bundle(alias, path) for path in self.files()]
        for path in self.files():
            path.unlink()
        return reports

    def bundle(self) -> bytes:
        """One file with what waits on the laptop; the stick is left empty."""
        (written,) = self.export(self.laptop).files
        path = self.stick / written.name
        content = path.read_bytes()
        path.unlink()
        return content

    def held(self, alias: str) -> list[tuple[str, int, bytes]]:
        found = IncomingBatch.objects.using(alias).filter(state__in=["held", "consumed"]).order_by("number")
        return [(number, bytes(content)) for number, content in found.values_list("number", "content")]

    def sealed(self) -> list[tuple[int, bytes]]:
        found = OutgoingBatch.objects.using(self.laptop).order_by("number").values_list("number", "content")
        return [(number, bytes(content)) for number, content in found]

    def everything(self, alias: str) -> dict[str, int]:
        """What an import could have stored, counted."""
        tables = (IncomingBatch, CarriedBatch, Statement)
        return {table.__name__: table.objects.using(alias).count() for table in tables}


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> Iterator[World]:
    aliases = ALIASES[request.param]
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    settings.SYNC_BUNDLE_SETTLE_SECONDS = 0
    settings.SYNC_BATCH_LINES = 2
    settings.SYNC_DATABASES = {
        aliases["laptop"]: {"role": "client", "device": LAPTOP, "capture": False},
        aliases["relay"]: {"role": "relay", "device": RELAY, "capture": False},
        aliases["site"]: {"role": "server", "device": SITE, "capture": False},
        aliases["central"]: {"role": "server", "device": CENTRAL, "capture": False},
    }
    stick = tmp_path / "stick"
    stick.mkdir()
    enrol_at(aliases["site"], SITE, aliases["laptop"], LAPTOP, "client")
    enrol_at(aliases["site"], SITE, aliases["relay"], RELAY, "relay")
    yield World(**aliases, stick=stick)
    for alias in DATABASES:
        for model in (Bundle, CarriedBatch, Statement, TrustedServer):
            model.objects.using(alias).all().delete()


def enrol_at(server: str, server_name: str, alias: str, name: str, role: str) -> LocalDevice:
    one = enrolled(server, name, role=role)
    key = device_keys(server_name).public_hex
    facts = {"certificate": one.certificate, "server_name": server_name, "server_key": key}
    return local(alias, name, role=role, server_url="http://127.0.0.1:9", **facts)


def know_each_other(world: World) -> None:
    """The central server pins the site's key, and the site the central's."""
    for alias, name in ((world.central, SITE), (world.site, CENTRAL)):
        TrustedServer.objects.using(alias).create(name=name, public_key=device_keys(name).public_hex)
        Device.objects.using(alias).get_or_create(name=name, defaults={"role": "server"})
