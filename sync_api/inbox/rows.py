"""Stores a batch's lines as IncomingTransaction rows: one statement per 5,000, by COPY on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from django.db import connections

from sync_api.conf import alias_settings
from sync_api.erasing.orders import proven_lines
from sync_api.exceptions import MalformedEnvelope
from sync_api.models import IncomingTransaction
from sync_api.recipients.own import own_private_keys
from sync_api.wire.erasing import ErasedLines
from sync_api.wire.header import Header
from sync_api.wire.lines import BASELINE, Line, read_lines
from sync_api.wire.opening import opened_lines
from sync_api.wire.sealed_payloads import SEALED_KEY

CHUNK = 5_000
COLUMNS = (
    *("batch_id", "sequence", "unit", "model_index", "tx_name", "action", "tx_pk", "previous_pk", "payload"),
    *("is_baseline", "user", "reason", "producer", "captured_at", "effective_at", "utc_offset"),
)
MARKS = ("is_consumed", "is_ignored", "is_error")


def insert_lines(
    alias: str, batch_id: int, header: Header, lines: Sequence[bytes], effective: int, *, hash_hex: str
) -> int:
    """Check and store all lines; returns the effective time of the last unit, in microseconds.

    `effective` is that of the unit before the batch. Payloads that are sealed to this installation are stored as if
    they had never been; what was sealed to others is stored as it came,
    what was erased without a payload. Call inside a transaction: MalformedEnvelope may be raised after some lines are
    stored.
    """
    if header.sealed:
        lines = opened_lines(header, lines, own_private_keys(alias_settings(alias).device))
    rows = EffectiveRows(batch_id, header, effective)
    erased = erased_lines(alias, header, lines, hash_hex)
    stream = rows.over(read_lines(header, lines, erased))
    if connections[alias].vendor == "postgresql":
        copy_rows(alias, stream)
    else:
        insert_rows(alias, stream)
    if any(line.key == SEALED_KEY for line in erased.values()):  # nobody here will ever know which record it was
        unknown = IncomingTransaction.objects.using(alias).filter(batch=batch_id, payload=None, tx_pk=SEALED_KEY)
        unknown.update(is_ignored=True)
    if rows.effective != header.time:
        raise MalformedEnvelope(what="the header's time is not that of its last unit")
    return rows.effective


def check_lines(alias: str, header: Header, lines: Sequence[bytes], *, hash_hex: str) -> None:
    """Check all lines and store nothing. MalformedEnvelope says what is wrong."""
    for _ in read_lines(header, lines, erased_lines(alias, header, lines, hash_hex)):
        pass


def erased_lines(alias: str, header: Header, lines: Sequence[bytes], hash_hex: str) -> ErasedLines:
    return proven_lines(alias, lines, device=header.device, epoch=header.epoch, number=header.number, hash_hex=hash_hex)


class EffectiveRows:
    """The rows of one batch in order; `effective` moves on with each unit."""

    def __init__(self, batch_id: int, header: Header, effective: int) -> None:
        self.batch_id = batch_id
        self.header = header
        self.effective = effective
        self.labels = [str(model["label"]) for model in header.models]

    def over(self, lines: Iterable[Line]) -> Iterator[tuple[Any, ...]]:
        unit: list[Line] = []
        number, sequence = 0, self.header.first
        for line in lines:
            if line.unit != number:
                yield from self.unit_rows(unit, sequence)
                number, sequence, unit = line.unit, sequence + len(unit), []
            unit.append(line)
        yield from self.unit_rows(unit, sequence)

    def unit_rows(self, unit: list[Line], sequence: int) -> list[tuple[Any, ...]]:
        """A unit's effective time is that of its last change, and never before the unit before it.

        Marks are 0 and 1: sqlite3 binds a bool by a slower way.
        """
        self.effective = effective = max(self.effective, unit[-1].captured_at)
        batch_id, labels, producers = self.batch_id, self.labels, self.header.producers
        return [
            (
                *(batch_id, place, number, model, labels[model], "I" if action == BASELINE else action, str(key)),
                *(previous, payload, int(action == BASELINE), user, reason, producers[producer]),
                *(captured_at, effective, offset),
            )
            for place, (
                number,
                model,
                action,
                captured_at,
                offset,
                user,
                reason,
                previous,
                payload,
                key,
                producer,
            ) in enumerate(unit, sequence)
        ]


def insert_rows(alias: str, rows: Iterator[tuple[Any, ...]]) -> None:
    values = ", ".join(["%s"] * len(COLUMNS) + ["0"] * len(MARKS))
    statement = f"INSERT INTO {_table(alias)} VALUES ({values})"
    with connections[alias].cursor() as cursor:
        while chunk := list(islice(rows, CHUNK)):
            cursor.executemany(statement, chunk)


def copy_rows(alias: str, rows: Iterator[tuple[Any, ...]]) -> None:
    with connections[alias].cursor() as cursor, cursor.copy(f"COPY {_table(alias)} FROM STDIN") as copy:
        for row in rows:
            copy.write_row((*row, 0, 0, 0))


def _table(alias: str) -> str:
    quote = connections[alias].ops.quote_name
    return f"{quote(IncomingTransaction._meta.db_table)} ({', '.join(map(quote, COLUMNS + MARKS))})"
