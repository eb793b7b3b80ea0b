"""A laptop whose payloads are sealed, and servers that can read them or not."""

from __future__ import annotations

import json
from typing import Any

from django.db import models

from audit.fields import from_microseconds
from sync_api.inbox import accept
from sync_api.models import CaptureSchema, LocalDevice, OutgoingBatch, OutgoingTransaction
from sync_api.recipients.book import add_recipient
from sync_api.recipients.own import own_key
from sync_api.schema import describe
from sync_api.sealing import seal
from sync_api.wire.format import Envelope, decode
from tests.integration.deserializer.received import Line
from tests.integration.field import SECOND, START, enrolled, local

NAME = "test-laptop"
SERVER_NAMES = {"server": "server-1", "server_pg": "server-2"}


def set_up(laptop: str, server: str) -> LocalDevice:
    """The laptop, enrolled at the server."""
    return local(laptop, NAME, certificate=enrolled(server, NAME).certificate)


def knows(laptop: str, *names: str) -> None:
    """Give the laptop the present keys of these installations."""
    for name in names:
        add_recipient(laptop, name, own_key(name).public_key)


def capture(laptop: str, *units: list[Line]) -> None:
    """The lines as the triggers would have written them; a unit is a list of lines."""
    before = OutgoingTransaction.objects.using(laptop).order_by("-unit").values_list("unit", flat=True).first() or 0
    rows = [
        captured_row(laptop, line, before + number)
        for number, unit in enumerate(units, 1)
        for line in unit
    ]  # fmt: skip
    OutgoingTransaction.objects.using(laptop).bulk_create(rows)


def captured_row(laptop: str, line: Line, unit: int) -> OutgoingTransaction:
    schema = schema_of(laptop, line.model)
    names = [name for name, _, _ in schema.description["fields"]]
    return OutgoingTransaction(
        unit=unit,
        tx_name=schema.tx_name,
        action=line.action,
        is_baseline=line.baseline,
        tx_pk=str(line.values[schema.description["pk"]]),
        previous_pk=line.previous_pk,
        payload=json.dumps([line.values.get(name) for name in names], separators=(",", ":")),
        schema_id=schema.pk,
        user="mona",
        reason=line.values.get("reason"),
        producer=f"{NAME}/host/{laptop}",
        device=NAME,
        captured_at=from_microseconds(START + unit * SECOND),
        utc_offset=120,
    )


def schema_of(laptop: str, model: type[models.Model]) -> CaptureSchema:
    described = describe(model, "sqlite")
    row, _ = CaptureSchema.objects.using(laptop).get_or_create(
        fingerprint=described.fingerprint,
        defaults={"tx_name": described.label, "storage": "sqlite", "description": described.description},
    )
    return row


def push(laptop: str, server: str) -> list[Envelope]:
    """Seal what is pending and hand over every batch; the envelopes."""
    seal(laptop, NAME)
    contents = [bytes(batch.content) for batch in OutgoingBatch.objects.using(laptop).order_by("number")]
    for content in contents:
        accept(server, content, NAME)
    return [decode(content) for content in contents]


def visible(envelope: Envelope) -> str:
    """Everything that who carries the batch can read of it."""
    return json.dumps(envelope.header) + "\n".join(line.decode() for line in envelope.lines)


def mirrored(model: Any, server: str, *names: str) -> list[Any]:
    return sorted(model.mirror.using(server).filter(mirror_current=True, mirror_era="NOW").values_list(*names))
