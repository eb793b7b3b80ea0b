"""Stores a batch's lines as IncomingTransaction rows: one statement per 5,000, by COPY on PostgreSQL."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice, repeat
from operator import add, itemgetter
from typing import Any

from django.db import connections

from audit.copying import blocks
from sync_api.conf import alias_settings
from sync_api.erasing.orders import proven_lines
from sync_api.exceptions import MalformedEnvelope
from sync_api.models import IncomingTransaction
from sync_api.recipients.own import own_private_keys
from sync_api.wire.erasing import ErasedLines
from sync_api.wire.header import Header
from sync_api.wire.lines import BASELINE, PART, read_lines
from sync_api.wire.opening import opened_lines
from sync_api.wire.plain_lines import Line
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
        self.sequence = header.first
        self.labels = [str(model["label"]) for model in header.models]

    def over(self, lines: Iterator[Line]) -> Iterator[tuple[Any, ...]]:
        """Whole units, many at a time: what is held of the last one waits for the rest of it."""
        held: list[Line] = []
        while part := list(islice(lines, PART)):
            held += part
            whole = bisect_left(held, held[-1].unit, key=itemgetter(0))
            yield from self.rows(held[:whole])
            del held[:whole]
        yield from self.rows(held)

    def rows(self, lines: list[Line]) -> Iterable[tuple[Any, ...]]:
        """The rows of whole units. A unit's effective time is that of its last change, and never before the unit
        before it.

        Marks are 0 and 1: sqlite3 binds a bool by a slower way.
        """
        if not lines:
            return ()
        units, models, actions, moments, offsets, users, reasons, previous, payloads, keys, producers = zip(
            *lines, strict=True
        )
        ends = dict(zip(units, moments, strict=True))
        effective = dict(
            zip(ends, islice(accumulate(ends.values(), max, initial=self.effective), 1, None), strict=True)
        )
        self.effective = effective[units[-1]]
        first, self.sequence = self.sequence, self.sequence + len(lines)
        return zip(
            *(repeat(self.batch_id, len(lines)), range(first, self.sequence), units, models),
            *(map(self.labels.__getitem__, models), ["I" if action == BASELINE else action for action in actions]),
            *(map(str, keys), previous, payloads, [int(action == BASELINE) for action in actions]),
            *(users, reasons, map(self.header.producers.__getitem__, producers)),
            *(moments, map(effective.__getitem__, units), offsets),
            strict=True,
        )


def insert_rows(alias: str, rows: Iterator[tuple[Any, ...]]) -> None:
    values = ", ".join(["%s"] * len(COLUMNS) + ["0"] * len(MARKS))
    statement = f"INSERT INTO {_table(alias)} VALUES ({values})"
    with connections[alias].cursor() as cursor:
        while chunk := list(islice(rows, CHUNK)):
            cursor.executemany(statement, chunk)


def copy_rows(alias: str, rows: Iterator[tuple[Any, ...]]) -> None:
    with connections[alias].cursor() as cursor, cursor.copy(f"COPY {_table(alias)} FROM STDIN") as copy:
        for block, part in blocks(map(add, rows, repeat((0,) * len(MARKS)))):
            assert block is not None, f"{len(part)} rows of texts and whole numbers"
            copy.write(block)


def _table(alias: str) -> str:
    quote = connections[alias].ops.quote_name
    return f"{quote(IncomingTransaction._meta.db_table)} ({', '.join(map(quote, COLUMNS + MARKS))})"
