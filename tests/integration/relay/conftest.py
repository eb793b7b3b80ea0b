"""A middleman that knows the server "central", and devices that central enrolled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.models import Device
from sync_api.enrolment.registration import issue_certificate
from sync_api.models import CarriedBatch, LocalDevice, Statement
from sync_api.wire.keys import device_keys
from tests.integration.field import Enrolled

CENTRAL = "default"
"""The alias that speaks for the server: its key alone is used."""
RELAYS = ["server", "server_pg"]


@pytest.fixture(params=RELAYS, ids=["sqlite", "postgresql"])
def middleman(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> Iterator[str]:
    """The database alias of a middleman enrolled with central, once on SQLite and once on PostgreSQL."""
    alias = str(request.param)
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    settings.SYNC_SERVER_DATABASE = alias
    settings.SYNC_DATABASES = {
        CENTRAL: {"role": "server", "device": "central"},
        alias: {"role": "relay", "device": "relay-1"},
    }
    LocalDevice.objects.using(alias).filter(name="relay-1").delete()
    relay = certified("relay-1", role="relay")
    LocalDevice.objects.using(alias).create(
        name="relay-1",
        role="relay",
        epoch="ab" * 16,
        began={"kind": "fresh"},
        server_name="central",
        server_key=device_keys("central").public_hex,
        certificate=relay.certificate,
    )
    yield alias
    for model in (CarriedBatch, Statement):
        model.objects.using(alias).all().delete()
    LocalDevice.objects.using(alias).filter(name="relay-1").delete()


def certified(name: str, *, role: str = "client", issuer: str = CENTRAL) -> Enrolled:
    """A device with a certificate of central; the middleman has never heard of it."""
    keys = device_keys(name)
    certificate = issue_certificate(issuer, Device(name=name, role=role), keys.public_hex)
    return Enrolled(name, keys, certificate, "")
