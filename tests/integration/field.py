"""What sealing, inbox, REST and client tests share: captured rows as the triggers write them, and enrolled devices."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

from audit.fields import from_microseconds
from audit.models import Device
from sync_api.enrolment.registration import issue_certificate, store_credential, token_hash
from sync_api.models import CaptureSchema, LocalDevice, OutgoingTransaction
from sync_api.schema.describe import fingerprint_of
from sync_api.wire import chain
from sync_api.wire.format import encode
from sync_api.wire.keys import DeviceKeys, device_keys

LABEL = "matrix.note"
DESCRIPTION = {"label": LABEL, "pk": "id", "fields": [["id", "uuid", None], ["text", "text", None]]}
START = 1_750_000_000_000_000
SECOND = 1_000_000


def local(alias: str, name: str, **facts: Any) -> LocalDevice:
    """The row that says which device a database is, with a fresh epoch."""
    defaults = {"role": "client", "epoch": secrets.token_hex(16), "began": {"kind": "fresh"}, **facts}
    device, _ = LocalDevice.objects.using(alias).update_or_create(name=name, defaults=defaults)
    return device


def schema(alias: str, storage: str) -> CaptureSchema:
    row, _ = CaptureSchema.objects.using(alias).get_or_create(
        fingerprint=fingerprint_of(DESCRIPTION, storage),
        defaults={"tx_name": LABEL, "storage": storage, "description": DESCRIPTION},
    )
    return row


def captured(
    alias: str, name: str, units: list[int], *, first_unit: int = 1, **facts: Any
) -> list[OutgoingTransaction]:
    """Captured rows: `units` says how many rows each unit has. As the triggers would have written them."""
    storage = "postgresql" if alias.endswith("_pg") else "sqlite"
    model = schema(alias, storage)
    rows = []
    for place, count in enumerate(units):
        for _ in range(count):
            key = secrets.token_hex(16)
            values = {
                "unit": first_unit + place,
                "tx_name": LABEL,
                "action": "I",
                "tx_pk": key,
                "payload": json.dumps([key, f"text {len(rows)}"], separators=(",", ":")),
                "schema_id": model.pk,
                "user": "mona",
                "producer": f"{name}/host/{alias}",
                "device": name,
                "captured_at": from_microseconds(START + len(rows) * SECOND),
                "utc_offset": 120,
                **facts,
            }
            rows.append(OutgoingTransaction(**values))
    return OutgoingTransaction.objects.using(alias).bulk_create(rows)


@dataclass(frozen=True)
class Enrolled:
    """A device as a server knows it, and its secrets."""

    name: str
    keys: DeviceKeys
    certificate: dict[str, Any]
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def enrolled(server: str, name: str, *, role: str = "client") -> Enrolled:
    """Register and enrol a device directly in the server's tables."""
    device, _ = Device.objects.using(server).get_or_create(name=name, defaults={"role": role})
    keys = device_keys(name)
    certificate = issue_certificate(server, device, keys.public_hex)
    token = secrets.token_urlsafe(32)
    store_credential(server, device, keys.public_hex, certificate, token)
    assert token_hash(token)
    return Enrolled(name, keys, certificate, token)


@dataclass
class Chain:
    """Makes sealed batches without a database, each following the one before; any header member can be set."""

    device: Enrolled
    epoch: str
    began: dict[str, Any]
    number: int = 0
    hash: str = ""
    sequence: int = 0
    effective: int = 0

    @classmethod
    def fresh(cls, device: Enrolled) -> Chain:
        return cls(device, secrets.token_hex(16), {"kind": "fresh"})

    def batch(self, lines: int = 2, *, text: str = "seen", keys: DeviceKeys | None = None, **header: Any) -> bytes:
        """The next batch's envelope, one line per unit."""
        content, self.hash, facts = self.sealed(lines, text=text, keys=keys, **header)
        self.number, self.sequence = facts["number"], facts["first"] + facts["count"] - 1
        self.effective = facts["time"]
        return content

    def fork(self, lines: int = 2, **header: Any) -> bytes:
        """A batch in the next place, without moving on."""
        return self.sealed(lines, text="forked", keys=None, **header)[0]

    def sealed(
        self, lines: int, *, text: str, keys: DeviceKeys | None, **header: Any
    ) -> tuple[bytes, str, dict[str, Any]]:
        facts = {**self.header(lines), **header}
        rows = header.pop("raw_lines", None) or raw_lines(lines, text)
        facts.pop("raw_lines", None)
        salt = chain.batch_salt(self.device.keys.salt_key, epoch=self.epoch, number=self.number + 1)
        sealed = encode(facts, rows, salt=salt, keys=keys or self.device.keys)
        return sealed.content, sealed.hash, facts

    def header(self, lines: int) -> dict[str, Any]:
        time = max(self.effective, START + (self.number + 1) * SECOND)
        return {
            "format": 1,
            "device": self.device.name,
            "certificate": self.device.certificate,
            "epoch": self.epoch,
            "began": self.began,
            "number": self.number + 1,
            "previous": self.hash,
            "first": self.sequence + 1,
            "count": lines,
            "units": lines,
            "era": 0,
            "app": "1.0.0",
            "storage": "sqlite",
            "producers": [f"{self.device.name}/host/default"],
            "time": time,
            "effective": self.effective,
            "models": [{**DESCRIPTION, "fingerprint": fingerprint_of(DESCRIPTION, "sqlite")}],
        }


def raw_lines(lines: int, text: str) -> list[bytes]:
    return [
        json.dumps(
            [unit, 0, "I", 0, 120, "mona", None, None, [secrets.token_hex(16), f"{text} {unit}"]],
            separators=(",", ":"),
        ).encode()
        for unit in range(lines)
    ]
