"""COPY's text, made by columns, holds exactly the values of the rows."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.copying import block_of, blocks
from tests.postgres import postgres_url

TYPES = ("text", "bigint", "double precision", "boolean", "bytea", "text")
rows_of_values = st.tuples(
    st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(allow_subnormal=False),
    st.none() | st.booleans(),
    st.none() | st.binary(max_size=9),
    st.sampled_from(["\\N", "\\.", "", "a\tb\r\n\\", "same"]),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(rows_of_values, min_size=1, max_size=8))
def test_postgresql_reads_the_values_that_were_written(rows: list[tuple[Any, ...]]) -> None:
    with psycopg.connect(postgres_url()) as connection:
        columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate(TYPES))
        connection.execute(f"CREATE TEMP TABLE copied (n serial, {columns})")
        names = ", ".join(f"c{number}" for number in range(len(TYPES)))
        with connection.cursor().copy(f"COPY copied ({names}) FROM STDIN") as copy:
            for block, _ in blocks(rows):
                assert block is not None
                copy.write(block)
        found = connection.execute(f"SELECT {names} FROM copied ORDER BY n").fetchall()
        connection.rollback()
    assert [tuple(map(comparable, row)) for row in found] == [tuple(map(comparable, row)) for row in rows]


def comparable(value: Any) -> Any:
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def test_a_value_of_another_type_is_left_to_psycopg() -> None:
    assert block_of([(1, timedelta(days=1))]) is None
    assert block_of([(1,), ("1",)]) is None
    assert [(block, part) for block, part in blocks([(timedelta(1),)])] == [(None, [(timedelta(1),)])]
