"""SQL literals of the seed's wire: whatever was written is read back, and nothing else is read."""

from __future__ import annotations

import re
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_api.compat.camcops.literals import (
    DIGITS_MAX,
    LiteralWrong,
    decode_value,
    decode_values,
    encode_hex,
    encode_value,
    encode_values,
)

numbers = st.decimals(allow_nan=False, allow_infinity=False)
plain = st.none() | st.integers() | numbers | st.text() | st.binary()


@given(st.lists(plain))
def test_any_list_of_values_is_read_back(values: list[object]) -> None:
    read = decode_values(encode_values(values))
    assert read == values
    exact = [type(value) for value in values]
    assert [type(value) for value in read] == exact


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_read_back_exactly(value: float) -> None:
    assert float(decode_value(encode_value(value))) == value  # type: ignore[arg-type]


@given(st.binary(), st.binary())
def test_blobs_may_be_hex_or_base64(first: bytes, second: bytes) -> None:
    assert decode_values(f"{encode_hex(first)}, {encode_value(second)} ,x'{first.hex()}'") == [first, second, first]


@given(st.text())
def test_no_text_makes_the_decoder_fail_otherwise_than_by_saying_where(text: str) -> None:
    try:
        read = decode_values(text)
    except LiteralWrong as error:
        said = str(error)
    else:
        said = ""
        assert decode_values(encode_values(read)) == read
    assert not said or re.fullmatch(r"value \d+ of the list is no SQL literal", said)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", []),
        ("NULL", [None]),
        ("null,Null", [None, None]),
        (" 1 , -2,+3", [1, -2, 3]),
        ("1.50,.5,-1e3,2.", [Decimal("1.50"), Decimal("0.5"), Decimal("-1e3"), Decimal("2")]),
        ("''", [""]),
        ("'it''s, ''quoted'''", ["it's, 'quoted'"]),
        (r"'C:\new\\x'", [r"C:\new\\x"]),
        ("'two\nlines'", ["two\nlines"]),
        ("X'',64''", [b"", b""]),
        ("X'00ff',64'AP8='", [b"\x00\xff", b"\x00\xff"]),
        ("64,64'AA=='", [64, b"\0"]),
    ],
)
def test_what_the_forms_mean(text: str, values: list[object]) -> None:
    assert decode_values(text) == values


@pytest.mark.parametrize(
    "text",
    [
        *("'", "'open", "'a''", "a", "1,", ",1", "1,,2", "1 2", "'a''b' 'c'", '"double"', "X'0'", "X'0g'", "64'A'"),
        *("64'A A='", "NaN", "inf", "1e", "0x10", "1_000", "True", "__import__('os')", "1;DROP", "--", "X 'aa'"),
        *("9" * (DIGITS_MAX + 1), "1." + "0" * DIGITS_MAX, "٣", "NULLS"),
    ],
)
def test_what_is_no_literal_is_refused(text: str) -> None:
    with pytest.raises(LiteralWrong):
        decode_values(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), [1], {}])
def test_what_no_literal_says_is_not_written(value: object) -> None:
    with pytest.raises(TypeError):
        encode_value(value)


@pytest.mark.parametrize("text", ["'" * 200_001, "'" + "''" * 100_000 + "a", "9" * 200_000, "1," * 100_000 + "x"])
def test_hostile_texts_take_linear_time(text: str) -> None:
    began = time.perf_counter()
    with pytest.raises(LiteralWrong):
        decode_values(text)
    assert time.perf_counter() - began < 20.0
