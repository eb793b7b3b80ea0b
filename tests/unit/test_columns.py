"""Every decoder of raw values: what it makes of good ones, and that it refuses bad ones."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connections, models

from sync_api.deserializer.columns import decode, decoder_for

SQLITE, POSTGRESQL = "server", "server_pg"
BOTH = (SQLITE, POSTGRESQL)


def decoded(alias: str, field: models.Field[Any, Any], kind: str, *values: Any, storage: str = "sqlite") -> list[Any]:
    decoder = decoder_for(field, kind, storage, connections[alias])
    assert decoder is not None
    column, bad = decode(decoder, values)
    return ["BAD" if number in bad else value for number, value in enumerate(column)]


GOOD = [
    (BOTH, models.IntegerField(), "integer", [0, -(2**31), 2**31 - 1, None], [0, -(2**31), 2**31 - 1, None]),
    (SQLITE, models.BooleanField(), "boolean", [0, True, None], [0, 1, None]),
    (POSTGRESQL, models.BooleanField(), "boolean", [0, True, None], [False, True, None]),
    (
        SQLITE,
        models.FloatField(),
        "float",
        ["0.10000000000000001", "-1e-300", "Infinity"],
        [0.1, -1e-300, float("inf")],
    ),
    (POSTGRESQL, models.FloatField(), "float", ["0.10000000000000001", "1.5"], ["0.10000000000000001", "1.5"]),
    (POSTGRESQL, models.FloatField(), "float", ["Infinity", "NaN", "1e-400", "1e400"], ["inf", "nan", "0.0", "inf"]),
    (BOTH, models.CharField(max_length=3), "text", ["", "äöü", None], ["", "äöü", None]),
    (BOTH, models.DateField(), "date", ["0001-01-01", "9999-12-31"], ["0001-01-01", "9999-12-31"]),
    (BOTH, models.TimeField(), "time", ["23:59:59.5", "00:00:00"], ["23:59:59.500000", "00:00:00"]),
    (SQLITE, models.DateTimeField(), "datetime", ["2026-05-01 10:00:00.1"], ["2026-05-01 10:00:00.100000"]),
    (POSTGRESQL, models.DateTimeField(), "datetime", ["2026-05-01 10:00:00"], ["2026-05-01 10:00:00+00"]),
    (SQLITE, models.DurationField(), "duration", [-1, 10**15], [-1, 10**15]),
    (POSTGRESQL, models.DurationField(), "duration", [-1], [timedelta(microseconds=-1)]),
    (BOTH, models.BinaryField(), "binary", ["", "00ff"], [b"", b"\x00\xff"]),
    (BOTH, models.JSONField(), "json", ['{"a": [1, null]}', "null"], ['{"a": [1, null]}', "null"]),
    (POSTGRESQL, models.JSONField(), "json", ['"\\\\u0000"'], ['"\\\\u0000"']),
    (BOTH, models.UUIDField(), "uuid", ["0" * 31 + "a", None], ["0" * 31 + "a", None]),
    (BOTH, models.GenericIPAddressField(), "ip", ["10.0.0.1", "::1"], ["10.0.0.1", "::1"]),
    (BOTH, models.TextField(), "reference", ['["ada"]'], ['["ada"]']),
]


@pytest.mark.parametrize(("aliases", "field", "kind", "raw", "expected"), GOOD)
def test_good_values_become_parameters(
    aliases: str | tuple[str, ...], field: models.Field[Any, Any], kind: str, raw: list[Any], expected: list[Any]
) -> None:
    for alias in (aliases,) if isinstance(aliases, str) else aliases:
        assert decoded(alias, field, kind, *raw) == expected


BAD = [
    (BOTH, models.BigIntegerField(), "integer", [1.5, "1", True, [1], 2**63]),
    (POSTGRESQL, models.SmallIntegerField(), "integer", [2**15]),
    (BOTH, models.BooleanField(), "boolean", [2, "true", 1.0]),
    (BOTH, models.FloatField(), "float", [1.5, "1_0", " 1", "one", "", "1,2"]),
    (SQLITE, models.FloatField(), "float", ["NaN"]),
    (BOTH, models.TextField(), "text", [1, ["a"], {}]),
    (POSTGRESQL, models.TextField(), "text", ["a\0b"]),
    (POSTGRESQL, models.CharField(max_length=3), "text", ["four"]),
    (BOTH, models.DateField(), "date", ["2026-02-30", "20260201", "2026-W01-1", "2026-02-01,2026-02-02", "0000-01-01"]),
    (BOTH, models.TimeField(), "time", ["24:00:00", "10:00", "10:00:00+02:00"]),
    (BOTH, models.DateTimeField(), "datetime", ["2026-05-01T10:00:00", "2026-05-01 10:00:00+00", "2026-05-01", 1]),
    (BOTH, models.DurationField(), "duration", [10**20, 0.5, "1"]),
    (BOTH, models.BinaryField(), "binary", ["0", "00 ff", "xy", 1]),
    (BOTH, models.JSONField(), "json", ["{", "NaN", "", {"a": 1}, "[" * 100_000]),
    (POSTGRESQL, models.JSONField(), "json", ['"\\u0000"', '{"a\\u0000": 1}']),
    (BOTH, models.UUIDField(), "uuid", ["0" * 31, "A" * 32, "0" * 31 + "g", "00000000-0000-0000-0000-000000000000", 0]),
    (BOTH, models.GenericIPAddressField(), "ip", ["10.0.0", "10.0.0.1/8", 1]),
]  # fmt: skip


@pytest.mark.parametrize(("aliases", "field", "kind", "values"), BAD)
def test_each_bad_value_is_found_among_good_ones(
    aliases: str | tuple[str, ...], field: models.Field[Any, Any], kind: str, values: list[Any]
) -> None:
    for alias in (aliases,) if isinstance(aliases, str) else aliases:
        assert decoded(alias, field, kind, *values, None) == ["BAD"] * len(values) + [None]


DECIMAL = models.DecimalField(max_digits=8, decimal_places=3)
WIDE = models.DecimalField(max_digits=30, decimal_places=10)


@pytest.mark.parametrize(
    ("field", "storage", "raw", "expected"),
    [
        (DECIMAL, "sqlite", "0.10000000000000001", "0.100"),
        (DECIMAL, "sqlite", 12, "12.000"),
        (DECIMAL, "sqlite", "-99999.998999999996", "-99999.999"),
        (DECIMAL, "postgresql", "0.100", "0.100"),
        (DECIMAL, "postgresql", "0.1005", "BAD"),
        (DECIMAL, "sqlite", "123456.5", "BAD"),
        (DECIMAL, "sqlite", "many", "BAD"),
        (DECIMAL, "sqlite", None, None),
    ],
)
def test_a_decimal_is_what_the_device_reads_back(
    field: models.Field[Any, Any], storage: str, raw: Any, expected: Any
) -> None:
    for alias in BOTH:
        assert decoded(alias, field, "decimal", raw, storage=storage) == [expected]


def test_a_decimal_that_sqlite_cannot_hold_is_refused_there_only() -> None:
    many = "12345678901234567890.0123456789"
    assert decoded(POSTGRESQL, WIDE, "decimal", many, storage="postgresql") == [many]
    assert decoded(SQLITE, WIDE, "decimal", many, storage="postgresql") == ["BAD"]
    assert decoded(SQLITE, WIDE, "decimal", "0.5", storage="postgresql") == ["0.5000000000"]


def test_nan_is_a_decimal_of_postgresql_only() -> None:
    assert decoded(POSTGRESQL, DECIMAL, "decimal", "NaN", storage="postgresql") == ["NaN"]
    assert decoded(SQLITE, DECIMAL, "decimal", "NaN", storage="postgresql") == ["BAD"]


def test_another_kind_than_the_columns_has_no_decoder() -> None:
    assert decoder_for(models.IntegerField(), "text", "sqlite", connections[SQLITE]) is None
