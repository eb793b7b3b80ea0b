"""Marks on the wire: their form, their place, and the hash over records."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sync_api.exceptions import MalformedEnvelope
from sync_api.schema.describe import fingerprint_of
from sync_api.wire.header import read_header
from sync_api.wire.lines import read_lines
from sync_api.wire.marks import (
    MARK_DESCRIPTION,
    Content,
    Mark,
    Records,
    digest_of,
    mark_payload,
    read_mark,
    row_digest,
)

NOTE = {"label": "app.note", "pk": "id", "fields": [["id", "integer", None], ["text", "text", None]]}
MARK = Mark("0f" * 16, False, 3, ("1e" * 16,), {"app.note": Content(2, "ab" * 32)})


def line(unit: int, action: str, model: int, payload: Any) -> bytes:
    return json.dumps([unit, model, action, 0, None, None, None, None, payload], separators=(",", ":")).encode()


def note(unit: int, action: str = "I", model: int = 0) -> bytes:
    return line(unit, action, model, [1, "text"])


def mark(unit: int, action: str = "P", model: int = 1) -> bytes:
    return line(unit, action, model, json.loads(mark_payload(MARK)))


def read(*lines: bytes, units: int) -> list[Any]:
    described = [{**model, "fingerprint": fingerprint_of(model, "sqlite")} for model in (NOTE, MARK_DESCRIPTION)]
    facts = {
        "format": 1, "device": "laptop", "certificate": {}, "epoch": "0" * 32, "began": {"kind": "fresh"}, "number": 1,
        "previous": "", "first": 1, "count": len(lines), "units": units, "era": 3, "app": "1", "storage": "sqlite",
        "producers": ["p"], "time": 0, "effective": 0, "models": described,
    }  # fmt: skip
    return list(read_lines(read_header(facts, lines=len(lines)), lines))


def test_a_mark_comes_back_as_it_was_sent() -> None:
    *_, last = read(note(0), note(0), mark(1), units=2)
    assert (last.action, last.key) == ("P", MARK.id)
    assert read_mark(last.payload) == MARK


@pytest.mark.parametrize(
    ("lines", "units"),
    [
        ([mark(0), note(1)], 2),
        ([note(0), mark(0)], 1),
        ([mark(0), mark(1)], 2),
        ([note(0, "P")], 1),
        ([mark(0, "I")], 1),
        ([mark(0, model=2)], 1),
        ([line(0, "P", 1, [MARK.id, False])], 1),
        ([line(0, "P", 1, [None, False, {}])], 1),
    ],
    ids=["not last", "in a unit", "two", "of a record", "as insert", "no model", "too short", "no id"],
)
def test_a_mark_out_of_place_is_refused(lines: list[bytes], units: int) -> None:
    with pytest.raises(MalformedEnvelope):
        read(*lines, units=units)


GOOD: dict[str, Any] = {"since": 0, "moved": [], "models": {}}


@pytest.mark.parametrize(
    "payload",
    [
        None,
        "",
        "null",
        "[]",
        '"c2VhbGVk"',
        json.dumps(["zz", False, GOOD]),
        json.dumps([MARK.id, 1, GOOD]),
        json.dumps([MARK.id, False, []]),
        json.dumps([MARK.id, False, {**GOOD, "since": -1}]),
        json.dumps([MARK.id, False, {**GOOD, "since": True}]),
        json.dumps([MARK.id, False, {**GOOD, "moved": ["x"]}]),
        json.dumps([MARK.id, False, {**GOOD, "models": {"a.b": 1}}]),
        json.dumps([MARK.id, False, {**GOOD, "models": {"a.b": {"count": "1", "sha256": ""}}}]),
        json.dumps([MARK.id, False, {**GOOD, "models": {"a.b": {"count": 1, "sha256": "", "keys": ["1"]}}}]),
        json.dumps([MARK.id, True, {**GOOD, "models": {"a.b": {"count": 1, "sha256": ""}}}]),
        json.dumps([MARK.id, True, {**GOOD, "models": {"a.b": {"count": 1, "sha256": "", "keys": [1]}}}]),
    ],
)
def test_what_is_no_mark_is_a_value_error(payload: str | None) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_mark(payload)


def content(*rows: tuple[str, str]) -> Content:
    records = Records()
    for key, payload in rows:
        records.add(key, ["id", "text"], payload)
    return records.content()


def test_the_hash_depends_on_keys_and_values_and_on_nothing_else() -> None:
    one = content(("1", '[1,"a"]'), ("2", '[2,"b"]'))
    assert content(("2", '[ 2 , "b" ]'), ("1", '[1,"\\u0061"]')) == one
    others = [
        content(("1", '[1,"a"]')),
        content(("1", '[1,"b"]'), ("2", '[2,"a"]')),
        content(("1", '[1,"a"]'), ("3", '[2,"b"]')),
        content(("1", '["1","a"]'), ("2", '[2,"b"]')),
    ]
    assert len({one, *others}) == 5
    assert digest_of({"a.b": one}) == digest_of({"a.b": one, "a.c": content()})
    assert digest_of({"a.b": one}) != digest_of({"a.c": one})


def test_a_column_without_a_value_does_not_count() -> None:
    assert row_digest(["id", "text", "new"], '[1,"a",null]') == row_digest(["text", "id"], '["a",1]')
    assert row_digest(["id", "text"], '[1,""]') != row_digest(["id"], "[1]")
