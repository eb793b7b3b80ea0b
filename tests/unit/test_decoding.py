"""What a hostile device put into a payload is a wrong value, whatever it is, and spoils no page that shows it."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from django.db import models

from sync_api.admin.decoded import payload_table
from sync_api.schema.decoding import READERS, read_value

WILD: list[Any] = [5, -1, 10**400, 1e308, "", "x", "1e999999", "9" * 30, [], ["x"], {}, {"a": 1}, True, "[" * 9_000]


@pytest.mark.parametrize("storage", ["sqlite", "postgresql"])
@pytest.mark.parametrize("kind", [*READERS, "decimal", "json", "reference", "nothing"])
def test_a_wild_value_is_read_or_wrong(kind: str, storage: str) -> None:
    field = models.DecimalField(max_digits=5, decimal_places=2)
    for raw in WILD:
        with contextlib.suppress(TypeError, ValueError):
            read_value(kind, raw, field if kind == "decimal" else None, storage)


def test_the_admin_shows_a_wild_value_as_it_came() -> None:
    description = {"label": "a.b", "pk": "id", "fields": [["id", "uuid", None], ["length", "duration", None]]}
    assert "<td>5</td>" in payload_table(description, '[5,"999999999999999999999"]', "sqlite")
