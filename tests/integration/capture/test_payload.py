"""A payload loses nothing: read back, it equals what the device itself reads from the row."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from decimal import Decimal
from typing import Any

import orjson
import pytest
from django.db import connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.capture.log import recorded, row_of, values_of
from tests.matrix.models import WIDE, Kinds, Wide, Word

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg"])


def texts(laptop: str, **limits: Any) -> st.SearchStrategy[str]:
    """Any characters, astral ones too; NUL where the database allows it."""
    alphabet = st.characters(exclude_categories=["Cs"], exclude_characters="" if laptop == "default" else "\0")
    return st.text(alphabet, **limits)


def integers(bits: int, *, positive: bool = False) -> st.SearchStrategy[int]:
    return st.integers(0 if positive else -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def decimals(places: int) -> st.SearchStrategy[Decimal]:
    edge = 10**15 - 1
    return st.integers(-edge, edge).map(lambda number: Decimal(number).scaleb(-places))


def documents(laptop: str) -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        leaves | texts(laptop),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(laptop), inner, max_size=3),
        max_leaves=5,
    )


def kinds(laptop: str) -> st.SearchStrategy[dict[str, Any]]:
    longest = dt.timedelta(days=106_751_990)  # 292,000 years: microseconds in 64 bits
    short = texts(laptop, max_size=50)
    values: dict[str, st.SearchStrategy[Any]] = {
        "char": texts(laptop, max_size=200),
        "text": texts(laptop),
        "slug": short,
        "email": short,
        "url": short,
        "small": integers(15),
        "integer": integers(32),
        "big": integers(64),
        "positive": integers(32, positive=True),
        "positive_small": integers(16, positive=True),
        "positive_big": integers(64, positive=True),
        "boolean": st.booleans(),
        "float": st.floats(),
        "decimal": decimals(4),
        "whole": decimals(0),
        "date": st.dates(),
        "time": st.times(),
        "datetime": st.datetimes(timezones=st.just(dt.UTC)),
        "duration": st.timedeltas(-longest, longest),
        "binary": st.binary(),
        "json": documents(laptop),
        "uuid": st.uuids(),
        "ip": st.ip_addresses().map(str),
        "file": short,
        "image": short,
        "path": short,
    }
    return st.fixed_dictionaries({name: st.none() | strategy for name, strategy in values.items()})


def comparable(values: dict[str, Any]) -> dict[str, Any]:
    """NaN equals NaN; a memoryview is its bytes; -0.0 is not 0.0."""

    def plain(value: Any) -> Any:
        if isinstance(value, memoryview):
            return bytes(value)
        if isinstance(value, float):
            return repr(value)
        return value

    return {name: plain(value) for name, value in values.items()}


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(data=st.data())
def test_payload_equals_what_the_device_reads(laptop: str, data: st.DataObject) -> None:
    first, second = data.draw(kinds(laptop)), data.draw(kinds(laptop))
    with recorded(laptop) as log:
        row = Kinds.objects.using(laptop).create(**first)
        inserted = row_of(row)
        Kinds.objects.using(laptop).filter(pk=row.pk).update(**second)
        updated = row_of(row)
        Kinds.objects.using(laptop).filter(pk=row.pk).delete()

    found = [comparable(values_of(tx)) for tx in log]
    expected = [comparable(inserted), comparable(updated), comparable(updated)]
    if inserted == updated:
        del expected[1]
    assert found == expected


@pytest.mark.parametrize(
    "number",
    [math.inf, -math.inf, math.nan, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 1e22, -0.0, 2.0**53 + 2],
)
def test_extreme_floats(laptop: str, number: float) -> None:
    with recorded(laptop) as log:
        row = Kinds.objects.using(laptop).create(float=number)

    assert comparable(values_of(log[0]))["float"] == comparable(row_of(row))["float"]


def test_microseconds_are_kept(laptop: str) -> None:
    moment = dt.datetime(2026, 5, 1, 23, 59, 59, 999_999, tzinfo=dt.UTC)
    with recorded(laptop) as log:
        Kinds.objects.using(laptop).create(
            datetime=moment, time=moment.time(), duration=dt.timedelta(days=-3, microseconds=1)
        )

    values = values_of(log[0])
    assert (values["datetime"], values["time"]) == (moment, moment.time())
    assert values["duration"] == dt.timedelta(days=-3, microseconds=1)


def test_session_formats_of_postgresql_do_not_matter() -> None:
    with connections["laptop_pg"].cursor() as cursor, recorded("laptop_pg") as log:
        formats = (
            "timezone = 'Asia/Kathmandu'",
            "datestyle = 'German'",
            "intervalstyle = 'sql_standard'",
            "bytea_output = 'escape'",
            "extra_float_digits = -10",
        )
        for setting in formats:
            cursor.execute(f"SET LOCAL {setting}")
        Kinds.objects.using("laptop_pg").create(
            datetime=dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC),
            date=dt.date(2026, 5, 1),
            duration=dt.timedelta(days=400, hours=-5),
            binary=b"\\\0\xff",
            float=0.1 + 0.2,
        )
        for setting in formats:
            cursor.execute(f"RESET {setting.split()[0]}")

    values = values_of(log[0])
    assert values["datetime"] == dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
    assert values["date"] == dt.date(2026, 5, 1)
    assert values["duration"] == dt.timedelta(days=400, hours=-5)
    assert values["binary"] == b"\\\0\xff"
    assert values["float"] == 0.1 + 0.2


def test_interval_of_years_and_months_is_read_as_the_device_reads_it() -> None:
    row = Kinds.objects.using("laptop_pg").create()
    with connections["laptop_pg"].cursor() as cursor, recorded("laptop_pg") as log:
        cursor.execute("UPDATE matrix_kinds SET duration = '1 year 2 months -3 days 04:05:06.000007'")

    assert values_of(log[0])["duration"] == row_of(row)["duration"]


def test_nul_in_a_text_on_sqlite() -> None:
    with recorded("default") as log:
        Word.objects.using("default").create(code="a\0b", text="\0\0c")

    assert values_of(log[0]) == {"code": "a\0b", "text": "\0\0c"}


def test_change_after_a_nul_is_seen_on_sqlite() -> None:
    word = Word.objects.using("default").create(code="w", text="a\0b")
    with recorded("default") as log:
        word.text = "a\0c"
        word.save()

    assert values_of(log[0])["text"] == "a\0c"


def test_blob_in_a_text_column_on_sqlite_does_not_fail_the_users_insert() -> None:
    with connections["default"].cursor() as cursor, recorded("default") as log:
        cursor.execute("INSERT INTO matrix_word (code, text) VALUES ('w', x'00ff')")

    assert log[0].payload is not None
    assert orjson.loads(log[0].payload) == ["w", {"blob": "00FF"}]


def test_number_in_a_text_column_on_sqlite_is_what_the_column_stores() -> None:
    with connections["default"].cursor() as cursor, recorded("default") as log:
        cursor.execute("INSERT INTO matrix_word (code, text) VALUES ('w', 12.5)")

    assert values_of(log[0])["text"] == "12.5"


def test_json_null_is_not_sql_null(laptop: str) -> None:
    with connections[laptop].cursor() as cursor, recorded(laptop) as log:
        Kinds.objects.using(laptop).create(id=uuid.uuid4(), json=None)
        cursor.execute("UPDATE matrix_kinds SET json = 'null'")

    raw = [orjson.loads(tx.payload or "")[values_names(tx).index("json")] for tx in log]
    assert raw == [None, "null"]


def values_names(tx: Any) -> list[str]:
    return [name for name, _, _ in tx.schema.description["fields"]]


def test_form_of_200_fields(laptop: str) -> None:
    values = {f"f{number:03}": number / 7 if number % 2 else f"value ]{number}[" for number in range(WIDE)}
    with recorded(laptop) as log:
        row = Wide.objects.using(laptop).create(name="wide", **values)
        Wide.objects.using(laptop).update(f199=None)
        Wide.objects.using(laptop).update(f000="changed")

    assert log.actions() == "IUU"
    assert values_of(log[0]) == {"id": row.pk, "name": "wide", **values}
    assert values_of(log[2]) == row_of(row)
