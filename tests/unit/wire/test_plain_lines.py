"""The fast way through a batch's lines reads what the slow way reads, and refuses nothing itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sync_api.exceptions import MalformedEnvelope
from sync_api.wire.header import Header, read_header
from sync_api.wire.lines import one_by_one
from sync_api.wire.plain_lines import plain_lines
from tests.integration.field import Chain
from tests.unit.wire.test_format import DEVICE, WRONG_LINES

GOOD = b'[0,0,"I",0,60,"nurse",null,null,["k","t"]]'


def header_of(count: int) -> Header:
    facts = Chain(DEVICE, "ab" * 16, {"kind": "fresh"}).header(count)
    return read_header({**facts, "units": 1, "producers": ["one", "two"]}, lines=count)


def slowly(raw: list[bytes], last: int) -> list[Any] | None:
    try:
        return list(one_by_one(header_of(len(raw)), raw, {}, 0, last))
    except MalformedEnvelope:
        return None


VALUES = (
    *("0", "1", "-1", "61", "1441", "9000000000000000000", "7.5", "null", "true", "[]", "{}", "[1]"),
    *('"I"', '"P"', '"X"', '"a"', '"a[b"', '"a\\u005bb"', '"\\u0000"'),
    *('["k","t"]', '["k",["t"]]', '[1,"t"]', '[null,"t"]', '["k"]', ' ["k","]"]'),
)
values = st.sampled_from(VALUES)


def changed_line(parts: int, changed: dict[int, str], gap: str, tail: str) -> bytes:
    good = ["0", "0", '"I"', "0", "60", '"nurse"', "null", "null", '["k","t"]', "1"][:parts]
    return (gap + "[" + ",".join(changed.get(place, value) for place, value in enumerate(good)) + tail).encode()


lines = st.builds(
    changed_line,
    st.sampled_from([9, 10]),
    st.dictionaries(st.integers(0, 9), values, max_size=2),
    st.sampled_from(["", " "]),
    st.sampled_from(["]", " ]", ",1]", "", "]x"]),
)


@given(st.lists(lines, min_size=1, max_size=4), st.sampled_from([-1, 0]))
@example([GOOD, GOOD], -1)
@example([b'[0,0,"I",0,0,null,null,null,["k","t"],1]'], -1)
def test_the_fast_way_reads_what_the_slow_way_reads(raw: list[bytes], last: int) -> None:
    fast = plain_lines(header_of(len(raw)), raw, last)
    if fast is not None:
        assert fast == slowly(raw, last)


@pytest.mark.parametrize(
    "raw", [GOOD, b'[0,0,"D",-5,null,"n","why","k2",["k","]"],1]', b'[0,0,"U",0,0,null,null,null,[7,"\\u005b\\\\"]]']
)
def test_common_lines_go_the_fast_way(raw: bytes) -> None:
    found = plain_lines(header_of(1), [raw], -1)
    assert found is not None
    assert found == slowly([raw], -1)


@pytest.mark.parametrize("line", WRONG_LINES.values(), ids=WRONG_LINES.keys())
def test_a_wrong_line_is_left_to_the_slow_way(line: bytes) -> None:
    assert plain_lines(header_of(1), [line], -1) is None
    assert plain_lines(header_of(2), [GOOD, line.replace(b"[1,", b"[2,", 1)], -1) is None
