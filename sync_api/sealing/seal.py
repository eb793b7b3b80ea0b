"""Seals pending units into batches, one transaction per batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.utils import timezone

from audit.fields import from_microseconds, to_microseconds
from sync_api.collector import collector_paused
from sync_api.conf import alias_settings, app_version
from sync_api.exceptions import (
    CertificateInvalid,
    EnvelopeTooLarge,
    NoLocalDevice,
    NothingKnownOfSchema,
    RecordTooLarge,
)
from sync_api.failpoints import failpoint
from sync_api.files.telling import ToldFile, files_members, remember_told, told_files
from sync_api.models import CaptureSchema, LocalDevice, OutgoingBatch
from sync_api.models.outgoing import BASELINE_REASON
from sync_api.sealing.payloads import seal_payloads
from sync_api.sealing.pending import Row, pending_rows, record_of
from sync_api.transactions import immediate
from sync_api.trust import own_certificate
from sync_api.wire import chain
from sync_api.wire.format import FORMAT, Sealed, check_sealed, encode
from sync_api.wire.keys import DeviceKeys, device_keys
from sync_api.wire.lines import BASELINE, quoted
from sync_api.wire.marks import MARK, read_mark
from sync_api.wire.sealed_payloads import Place


@dataclass(frozen=True, slots=True)
class SealReport:
    """How many batches, units and transactions were sealed."""

    batches: int
    units: int
    transactions: int


def seal(alias: str, device_name: str | None = None) -> SealReport:
    """Seal everything that is pending. Opens one transaction per batch; memory holds one batch at a time."""
    batches = units = transactions = 0
    while (batch := seal_next(alias, device_name)) is not None:
        batches += 1
        units += batch.units
        transactions += batch.lines
    return SealReport(batches, units, transactions)


def seal_next(alias: str, device_name: str | None = None, *, lines: int | None = None) -> OutgoingBatch | None:
    """Seal the next batch, or return None when nothing is pending. With `lines`, the unit that reaches as many ends it.

    Opens its own transaction, under the device's row lock: two sealers at once make one chain. Killed anywhere, the
    batch is sealed wholly or not at all.
    """
    name = device_name or alias_settings(alias).device
    with collector_paused(), immediate(alias):
        device = LocalDevice.objects.using(alias).select_for_update().filter(name=name).first()
        if device is None:
            raise NoLocalDevice(alias=alias)
        rows = pending_rows(alias, device, lines)
        if not rows:
            return None
        batch = seal_rows(alias, device, rows)
        failpoint("seal.before_commit")
    failpoint("seal.after_commit")
    return batch


def seal_rows(alias: str, device: LocalDevice, rows: list[Row]) -> OutgoingBatch:
    told = told_files(alias, device.name, device.epoch, rows)
    rows, header, sealed = sealed_within_limits(alias, device, rows, told)
    ids = [row.id for row in rows]
    batch = OutgoingBatch(
        device=device,
        epoch=device.epoch,
        number=header["number"],
        hash=sealed.hash,
        previous_hash=header["previous"],
        first_sequence=header["first"],
        lines=len(rows),
        units=header["units"],
        first_id=min(ids),
        last_id=max(ids),
        content=sealed.content,
        size=len(sealed.content),
        sealed_at=timezone.now(),
    )
    batch.save(using=alias, force_insert=True)
    mark_sealed(alias, batch, rows)
    in_batch = [file for file in told if file.line < len(rows)]
    remember_told(alias, device.name, device.epoch, batch.number, in_batch, header)
    device.head_number = batch.number
    device.head_hash = batch.hash
    device.sequence += len(rows)
    device.effective_at = from_microseconds(header["time"])
    device.sealed_until = max(device.sealed_until, batch.last_id)
    device.era_ordinal += ends_era(rows[-1])
    moved = ["head_number", "head_hash", "sequence", "effective_at", "sealed_until", "era_ordinal"]
    device.save(using=alias, update_fields=moved)
    return batch


def ends_era(row: Row) -> bool:
    """Whether this row is the mark that ends the era: what is sealed after it belongs to the next."""
    return row.action == MARK and not read_mark(row.payload).is_partial


def sealed_within_limits(
    alias: str, device: LocalDevice, rows: list[Row], told: Sequence[ToldFile] = ()
) -> tuple[list[Row], dict[str, Any], Sealed]:
    """As many of the units as a receiver with these limits takes in one batch: all of them, but for rare cases.

    RecordTooLarge when it would not take the first one alone: what is before it is sealed then.
    """
    keys = device_keys(device.name)
    while True:
        header, lines = header_and_lines(alias, device, rows, keys, told)
        salt = chain.batch_salt(keys.salt_key, epoch=device.epoch, number=header["number"])
        sealed = encode(header, lines, salt=salt, keys=keys)
        try:
            check_sealed(sealed, header, lines)
        except EnvelopeTooLarge as error:
            fewer = first_half(rows)
            if fewer:
                rows = fewer
                continue
            largest = rows[max(range(len(lines)), key=lambda number: len(lines[number]))]
            raise RecordTooLarge(record=record_of(alias, largest.id), cause=error) from error
        return rows, header, sealed


def first_half(rows: list[Row]) -> list[Row]:
    """The first half of these rows' units; none of a single unit."""
    begins = [index for index, row in enumerate(rows) if index == 0 or row.unit != rows[index - 1].unit]
    return rows[: begins[len(begins) // 2]]


def header_and_lines(
    alias: str, device: LocalDevice, rows: list[Row], keys: DeviceKeys, told: Sequence[ToldFile] = ()
) -> tuple[dict[str, Any], list[bytes]]:
    """The header and the lines of one batch. The same rows on the same head give the same bytes."""
    effective_before = to_microseconds(device.effective_at)
    rows = with_baselines_alone(rows)
    time, units = effective_end(rows, effective_before)
    schemas = list(dict.fromkeys(row.schema_id for row in rows))
    producers = list(dict.fromkeys(row.producer for row in rows))
    models, storage = model_descriptions(alias, schemas)
    place = Place(device.name, device.epoch, device.head_number + 1)
    rows, groups = seal_payloads(alias, place, schemas, models, rows)
    lines = encode_lines(rows, time, schemas, producers)
    header = {
        "format": FORMAT,
        "device": device.name,
        "certificate": certificate_of(alias, device, keys),
        "epoch": device.epoch,
        "began": device.began,
        "number": device.head_number + 1,
        "previous": device.head_hash,
        "first": device.sequence + 1,
        "count": len(rows),
        "units": units,
        "era": device.era_ordinal,
        "app": app_version(),
        "storage": storage,
        "producers": producers,
        "time": time,
        "effective": effective_before,
        "models": models,
        **({"sealed": [group.facts for group in groups]} if groups else {}),
        **files_members(told, place, groups, [schemas.index(row.schema_id) for row in rows] if told else []),
    }
    return header, lines


def certificate_of(alias: str, device: LocalDevice, keys: DeviceKeys) -> dict[str, Any]:
    """The device's certificate. CertificateInvalid when it is of another key: nobody would believe the signature."""
    if device.certificate is None:
        return uncertified(alias, device, keys)
    if device.certificate["public_key"] != keys.public_hex:
        raise CertificateInvalid(what="this computer's key is another one; its database or its keys are an older copy")
    return dict(device.certificate)


def uncertified(alias: str, device: LocalDevice, keys: DeviceKeys) -> dict[str, Any]:
    """A server signs its own certificate; before enrolment any other device can only say its key."""
    own = alias_settings(alias)
    if own.role == "server" and own.device == device.name:
        return own_certificate(alias)
    return {"device": device.name, "public_key": keys.public_hex}


def with_baselines_alone(rows: list[Row]) -> list[Row]:
    """Each row of a baseline is a unit by itself, though thousands were written at once: one that differs from the
    server's is set aside alone."""
    if not any(row.is_baseline for row in rows):
        return rows
    return [row._replace(unit=-row.id) if row.is_baseline and row.reason == BASELINE_REASON else row for row in rows]


def effective_end(rows: list[Row], effective: int) -> tuple[int, int]:
    """The effective time of the last unit, and the number of units."""
    units = 0
    for index, row in enumerate(rows):
        if index + 1 == len(rows) or rows[index + 1].unit != row.unit:
            units += 1
            effective = max(effective, row.captured_at)
    return effective, units


def model_descriptions(alias: str, schema_ids: list[int]) -> tuple[list[dict[str, Any]], str]:
    found = CaptureSchema.objects.using(alias).in_bulk(schema_ids)
    for schema_id in schema_ids:
        if schema_id not in found:
            raise NothingKnownOfSchema(schema_id=schema_id)
    models = [{**found[schema_id].description, "fingerprint": found[schema_id].fingerprint} for schema_id in schema_ids]
    return models, found[schema_ids[0]].storage


def encode_lines(rows: list[Row], time: int, schemas: list[int], producers: list[str]) -> list[bytes]:
    """One line per row: [unit, model, action, time, offset, user, reason, previous key, payload(, producer)]."""
    model_of = {schema_id: index for index, schema_id in enumerate(schemas)}
    producer_of = {producer: f",{index}" if index else "" for index, producer in enumerate(producers)}
    texts = Quoted()
    lines = []
    number, known = -1, None
    for _, unit, action, previous, payload, schema, is_baseline, user, reason, producer, captured_at, offset in rows:
        if unit != known:
            number, known = number + 1, unit
        lines.append(
            f'[{number},{model_of[schema]},"{BASELINE if is_baseline else action}",{captured_at - time},'
            f"{'null' if offset is None else offset},{texts[user]},{texts[reason]},"
            f"{'null' if previous is None else quoted(previous)},{payload}{producer_of[producer]}]".encode()
        )
    return lines


class Quoted(dict[str | None, str]):
    """The texts of one batch as they stand in its lines: few, and each in thousands of rows."""

    def __missing__(self, text: str | None) -> str:
        found = self[text] = quoted(text)
        return found


def mark_sealed(alias: str, batch: OutgoingBatch, rows: list[Row]) -> None:
    """Give the rows their batch, in one statement."""
    where = ""
    parameters: list[Any] = [batch.number, batch.epoch, batch.first_id, batch.last_id, batch.device.name]
    if connections[alias].vendor == "postgresql":
        where = " AND batch_number IS NULL AND unit = ANY(%s)"
        parameters.append(list({row.unit for row in rows}))
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "UPDATE sync_api_outgoingtransaction SET batch_number = %s, batch_epoch = %s"
            f" WHERE id BETWEEN %s AND %s AND device = %s{where}",
            parameters,
        )
