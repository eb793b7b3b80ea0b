"""Which fields of which synced models hold files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any

from django.db import models

from sync_api.schema.describe import synced_models

AT_ONCE = 500
"""Values in one statement."""


@cache
def file_fields() -> dict[str, dict[str, models.FileField]]:
    """By model label: the names of its file fields, and the fields."""
    found = {
        model._meta.label_lower: {
            field.name: field for field in model._meta.local_concrete_fields if isinstance(field, models.FileField)
        }
        for model in synced_models()
    }
    return {label: fields for label, fields in found.items() if fields}


def places_of(description: dict[str, Any]) -> list[tuple[int, models.FileField]]:
    """Where among a described model's values names of files stand."""
    fields = file_fields().get(str(description["label"]), {})
    return [(place, fields[name]) for place, (name, _, _) in enumerate(description["fields"]) if name in fields]


def name_digest(name: str) -> str:
    """What a file's name is known by outside its record."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def in_parts(values: Iterable[str]) -> Iterator[list[str]]:
    """Lists short enough for one statement."""
    rest = iter(values)
    while part := list(islice(rest, AT_ONCE)):
        yield part
