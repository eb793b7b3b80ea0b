"""Small pieces of SQL that every part of `audit` writes the same way."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from django.db import connections


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def among_numbers(alias: str, numbers: Collection[int]) -> tuple[str, Any]:
    """SQL to stand after a column of numbers, true for these, and its one parameter, however many they are."""
    if connections[alias].vendor == "sqlite":
        return "IN (SELECT value FROM json_each(%s))", json.dumps(list(numbers))
    return "= ANY(%s::bigint[])", list(numbers)
