"""Received payloads that were sealed to others when they came: opened once a key for them is here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from django.db import connections
from django.db.models import QuerySet

from sync_api.conf import alias_settings
from sync_api.deserializer import troubles
from sync_api.deserializer.lines import TABLE, Line
from sync_api.deserializer.troubles import Trouble
from sync_api.files.hearing import keep_told
from sync_api.models import IncomingBatch, IncomingTransaction, ParkedRecord, ParkedUnit
from sync_api.recipients.own import own_private_keys
from sync_api.wire.format import decode
from sync_api.wire.header import read_header
from sync_api.wire.lines import shown
from sync_api.wire.opening import Opener, can_open
from sync_api.wire.sealed_payloads import SEALED_KEY, Content


def unseal(alias: str, batch: IncomingBatch) -> None:
    """Open the batch's sealed lines as far as this installation's keys can; their rows then are what they would have
    been, had the key been here when they came. The batch's bytes stay. Call inside the device's claim; again, it
    finds nothing more to do."""
    if "sealed" not in batch.header:
        return
    opener = Opener(batch.header, own_private_keys(alias_settings(alias).device))
    if not opener.groups:
        return
    opened: list[tuple[Content, int]] = []
    units: set[int] = set()
    for row_id, sequence, unit, model, payload in sealed_rows(alias, batch):
        content = opener.content(sequence - batch.first_sequence, model, orjson.loads(payload))
        if content is not None:
            opened.append((content, row_id))
            units.add(unit)
    if opened:
        write_opened(alias, opened)
        if "sealed_files" in batch.header:
            envelope = decode(bytes(batch.content))
            keep_told(alias, read_header(envelope.header, lines=len(envelope.lines)), envelope.lines)
        name_records(alias, batch, units)


def sealed_rows(alias: str, batch: IncomingBatch) -> QuerySet[Any, Any]:
    rows = IncomingTransaction.objects.using(alias).filter(
        batch=batch.pk, tx_pk=SEALED_KEY, payload__startswith='"', is_consumed=False, is_ignored=False
    )
    return rows.order_by("sequence").values_list("id", "sequence", "unit", "model_index", "payload")


def write_opened(alias: str, opened: list[tuple[Content, int]]) -> None:
    with connections[alias].cursor() as cursor:
        cursor.executemany(
            f"UPDATE {TABLE} SET tx_pk = %s, previous_pk = %s, reason = %s, payload = %s WHERE id = %s",
            [
                (shown(str(content.key)), shown(content.previous_key), shown(content.reason), content.payload, row_id)
                for content, row_id in opened
            ],
        )


def name_records(alias: str, batch: IncomingBatch, units: set[int]) -> None:
    """Let the parked among these units hold back the records that they are now known to touch, and no others."""
    parked = ParkedUnit.objects.using(alias).filter(batch=batch.pk, state=ParkedUnit.State.PARKED, unit__in=units)
    by_unit = {row.unit: row for row in parked}
    ParkedRecord.objects.using(alias).filter(parked_unit__in=by_unit.values()).delete()
    lines = IncomingTransaction.objects.using(alias).filter(batch=batch.pk, unit__in=by_unit).order_by("sequence")
    records = dict.fromkeys(
        (unit, tx_name, key)
        for unit, tx_name, tx_pk, previous_pk in lines.values_list("unit", "tx_name", "tx_pk", "previous_pk")
        for key in (tx_pk, previous_pk)
        if key is not None
    )
    ParkedRecord.objects.using(alias).bulk_create(
        ParkedRecord(parked_unit=by_unit[unit], tx_name=tx_name, tx_pk=key) for unit, tx_name, key in records
    )


def sealed_troubles(alias: str, header: dict[str, Any], lines: Sequence[Line]) -> dict[int, Trouble]:
    """By line: that it is sealed, or that it was sealed to this installation and does not open."""
    if "sealed" not in header:
        return {}
    sealed = [number for number, line in enumerate(lines) if is_sealed(line)]
    if not sealed:
        return {}
    keys = own_private_keys(alias_settings(alias).device)
    return {
        number: troubles.payload_unreadable(lines[number].tx_name)
        if can_open(header["sealed"], lines[number].model_index, keys)
        else troubles.payload_sealed(lines[number].tx_name)
        for number in sealed
    }


def is_sealed(line: Line) -> bool:
    return line.tx_pk == SEALED_KEY and line.payload is not None and line.payload.startswith('"')
