"""Chosen records, as an operator names them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError

from audit.exceptions import NotMirrored
from audit.mirror.tables import table_for
from sync_api.exceptions import RecordNameInvalid, RecordsReferredTo
from sync_api.finalizing.rows import LocalRows, Record

REFERRING_LISTED_MAX = 10


def chosen_records(rows: LocalRows, names: Iterable[str]) -> set[Record]:
    """The records that `names` ("app.Model:key") choose, with what is part of them.

    RecordNameInvalid for one that is not here, RecordsReferredTo when others that stay refer to them.
    """
    chosen = rows.wholes(record_of(rows, name) for name in names)
    referring = rows.referring_to(chosen)
    if referring:
        listed = [f"{told(one)} refers to {told(other)}" for one, other in sorted(referring)[:REFERRING_LISTED_MAX]]
        raise RecordsReferredTo(count=len(referring), listed=listed)
    return chosen


def record_of(rows: LocalRows, name: str) -> Record:
    label, colon, key = name.partition(":")
    try:
        model: Any = apps.get_model(label)
        table = table_for(model)
        record = (table.label, str(table.canonical_key(key)))
    except (LookupError, ValueError, NotMirrored, ValidationError) as error:
        raise RecordNameInvalid(name=name, what="it is not of the form app.Model:key") from error
    if not colon or record not in rows:
        raise RecordNameInvalid(name=name, what="there is no such record here")
    return record


def told(record: Record) -> str:
    return " ".join(part for part in record if part)
