"""A day's records as the log tells them: of each, what became of it last. The same form on laptop and relay."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from django.apps import apps

from sync_api.schema.decoding import read_payload, read_value


@dataclass(frozen=True, slots=True)
class Record:
    """The last change of one record within the day.

    `action` is I, U or D; `number` the batch it is in (None: not sealed yet); `sha256` that of the payload's text,
    which is the same from the trigger on the laptop to the relay's line.
    """

    label: str
    pk: str
    action: str
    epoch: str
    number: int | None
    sha256: str
    key: list[Any] | None = None

    @property
    def identity(self) -> tuple[str, str]:
        return self.label, self.pk

    @property
    def name(self) -> str:
        """What people know it by: its natural key, else its key."""
        return " ".join(map(str, self.key)) if self.key else self.pk


def hash_of(payload: str | None) -> str:
    return hashlib.sha256((payload or "").encode()).hexdigest()


def row_values(label: str, description: Any, storage: str, payload: str | None) -> dict[str, Any]:
    """A payload's values by attribute name; those that cannot be read are left out."""
    fields = {field.attname: field for field in apps.get_model(label)._meta.concrete_fields}
    values: dict[str, Any] = {}
    kinds = {name: kind for name, kind, _ in description["fields"]}
    for name, raw in read_payload(description, payload).items():
        field = next((one for one in fields.values() if name in (one.name, one.attname, one.column)), None)
        if field is None:
            continue
        try:
            values[field.attname] = read_value(kinds[name], raw, field, storage)
        except (ValueError, TypeError, KeyError):
            continue
    return values
