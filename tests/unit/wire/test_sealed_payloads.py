"""Sealing and opening payloads: what went in comes out for a recipient, and nothing for anybody else."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from sync_api.exceptions import EnvelopeTooLarge, MalformedEnvelope
from sync_api.schema.describe import fingerprint_of
from sync_api.wire.header import Header, read_header
from sync_api.wire.lines import quoted, read_lines
from sync_api.wire.opening import Opener, can_open, opened_lines
from sync_api.wire.sealed_payloads import (
    PADDED_TO_BYTES,
    SEALED_KEY,
    Place,
    is_usable,
    key_id_of,
    new_group,
    seal_content,
)

PLACE = Place("laptop-1", "ab" * 16, 7)
FIELDS = [["id", "integer", None], ["text", "text", None]]
LABELS = ["study.visit", "study.note", "study.site"]
MODELS = [{"label": label, "pk": "id", "fields": FIELDS} for label in LABELS]
texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=60)


def recipient() -> tuple[str, X25519PrivateKey]:
    private = X25519PrivateKey.generate()
    return private.public_key().public_bytes_raw().hex(), private


def header(sealed: list[dict[str, Any]], lines: int, units: int | None = None) -> dict[str, Any]:
    models = [{**model, "fingerprint": fingerprint_of(model, "sqlite")} for model in MODELS]
    return {
        "format": 1,
        "device": PLACE.device,
        "certificate": {},
        "epoch": PLACE.epoch,
        "began": {"kind": "fresh"},
        "number": PLACE.number,
        "previous": "ab" * 32,
        "first": 1,
        "count": lines,
        "units": units or lines,
        "era": 0,
        "app": "1",
        "storage": "sqlite",
        "producers": ["one", "two"],
        "time": 0,
        "effective": 0,
        "models": models,
        "sealed": sealed,
    }


def read(facts: dict[str, Any], lines: list[bytes]) -> Header:
    return read_header(facts, lines=len(lines))


def line(index: int, model: int, text: str, user: str | None = "mona", producer: str = "") -> bytes:
    return f'[{index},{model},"I",0,120,{quoted(user)},null,null,"{text}"{producer}]'.encode()


@given(
    st.lists(st.tuples(st.integers(0, 2), texts, st.none() | texts, st.none() | texts, texts), min_size=1, max_size=8)
)
def test_a_batch_of_several_recipient_sets_reads_as_if_it_had_never_been_sealed(rows: Any) -> None:
    """Model 0 is sealed to both, model 1 to the first only, model 2 to nobody."""
    (first, first_key), (second, second_key) = recipient(), recipient()
    groups = {0: new_group(PLACE, [0], [first, second]), 1: new_group(PLACE, [1], [first])}
    raw, wanted = [], []
    for index, (model, text, reason, previous, user) in enumerate(rows):
        payload = json.dumps([index, text], ensure_ascii=bool(index % 2))
        wanted.append((model, user, reason, previous, [index, text]))
        if model == 2:
            texts_before = ",".join(map(quoted, (user, reason, previous)))
            raw.append(f'[{index},2,"I",0,120,{texts_before},{payload},1]'.encode())
        else:
            told = {"previous_key": previous, "reason": reason, "payload": payload}
            raw.append(line(index, model, seal_content(groups[model], PLACE, index, LABELS[model], **told), user, ",1"))
    facts = header([group.facts for group in groups.values()], len(raw))
    for keys, readable in (({key_id_of(first): first_key}, {0, 1, 2}), ({key_id_of(second): second_key}, {0, 2})):
        checked = read(facts, raw)
        found = list(read_lines(checked, opened_lines(checked, raw, keys)))
        for got, (model, user, reason, previous, row) in zip(found, wanted, strict=True):
            assert (got.model, got.producer, got.user) == (model, 1, nul_shown(user))
            if model in readable:
                assert (got.reason, got.previous_key) == (nul_shown(reason), nul_shown(previous))
                assert json.loads(got.payload) == row
                assert got.key == row[0]
            else:
                assert (got.key, got.reason, got.previous_key) == (SEALED_KEY, None, None)
                assert "[" not in got.payload


def nul_shown(text: str | None) -> str | None:
    return None if text is None else text.replace("\0", "\N{SYMBOL FOR NULL}")


@given(st.text(alphabet='0123456789.eE+- ,[]"\\u005b', max_size=30))
def test_the_payload_s_own_bytes_come_out(text: str) -> None:
    """Digits of numbers and spaces are not changed by being parsed on the way."""
    payload = f"[11, {json.dumps(text)} ]"
    public, private = recipient()
    group = new_group(PLACE, [0], [public])
    sealed = seal_content(group, PLACE, 3, LABELS[0], previous_key="[", reason="[[", payload=payload)
    content = opener(group.facts, public, private).content(3, 0, sealed)
    assert content is not None
    assert content.payload == payload


def opener(facts: dict[str, Any], public: str, private: X25519PrivateKey) -> Opener:
    return Opener(header([facts], 1), {key_id_of(public): private})


def test_every_part_of_a_line_s_place_is_bound() -> None:
    public, private = recipient()
    group = new_group(PLACE, [0, 1], [public])
    sealed = seal_content(group, PLACE, 3, LABELS[0], previous_key=None, reason=None, payload='[1,"x"]')
    own = opener(group.facts, public, private)
    assert own.content(3, 0, sealed) is not None
    assert own.content(4, 0, sealed) is None
    assert own.content(3, 1, sealed) is None
    for member, other in (("device", "laptop-2"), ("epoch", "cd" * 16), ("number", 8)):
        elsewhere = Opener({**header([group.facts], 1), member: other}, {key_id_of(public): private})
        assert elsewhere.groups == {}


@given(st.integers(0, 79), st.integers(1, 255))
def test_any_flipped_bit_of_a_ciphertext_is_seen(place: int, mask: int) -> None:
    public, private = recipient()
    group = new_group(PLACE, [0], [public])
    sealed = bytearray(
        base64.b64decode(seal_content(group, PLACE, 0, LABELS[0], previous_key=None, reason=None, payload='[1,"x"]'))
    )
    sealed[place] ^= mask
    altered = base64.b64encode(sealed).decode()
    assert opener(group.facts, public, private).content(0, 0, altered) is None


def test_the_length_tells_little_and_no_two_ciphertexts_are_alike() -> None:
    public, _ = recipient()
    group = new_group(PLACE, [0], [public])
    lengths = set()
    seen = set()
    for index, text in enumerate(["", "no", "yes", "twenty-four characters ."]):
        told = {"previous_key": None, "reason": None, "payload": json.dumps([1, text])}
        sealed = seal_content(group, PLACE, index, LABELS[0], **told)
        lengths.add(len(base64.b64decode(sealed)))
        seen.add(sealed)
    assert lengths == {PADDED_TO_BYTES + 16}
    assert len(seen) == 4
    assert new_group(PLACE, [0], [public]).facts != group.facts


def test_who_is_no_recipient_opens_nothing() -> None:
    public, _ = recipient()
    other, other_key = recipient()
    group = new_group(PLACE, [0], [public])
    assert opener(group.facts, other, other_key).groups == {}
    assert not can_open([group.facts], 0, {key_id_of(other): other_key})
    assert can_open([group.facts], 0, {key_id_of(public): other_key})
    assert not can_open([group.facts], 1, {key_id_of(public): other_key})


@pytest.mark.parametrize("key", ["", "00" * 32, "01" + "00" * 31, "zz" * 32, "ab" * 31, "AB" * 32])
def test_a_key_on_which_no_secret_can_be_agreed_is_not_usable(key: str) -> None:
    assert not is_usable(key)
    assert is_usable(recipient()[0])


def changed(**members: Any) -> Any:
    public, _ = recipient()
    group = new_group(PLACE, [0], [public]).facts
    return [{**group, **members}]


@pytest.mark.parametrize(
    "sealed",
    [
        [],
        {},
        None,
        "x",
        [5],
        changed(models=[]),
        changed(models=[-1]),
        changed(models=[3]),
        changed(models=[True]),
        changed(models=[0, 0]),
        changed(models=0),
        changed(key="00"),
        changed(key=5),
        changed(recipients=[]),
        changed(recipients=[{"key_id": "ab" * 8}]),
        changed(recipients=[{"key_id": "AB" * 8, "wrapped": "00" * 48}]),
        changed(recipients=[{"key_id": "ab" * 8, "wrapped": 5}]),
        changed(more=1),
        changed() + changed(),
    ],
)
def test_a_malformed_member_is_refused(sealed: Any) -> None:
    with pytest.raises(MalformedEnvelope, match="sealed"):
        read(header(sealed, 1), [b"[]"])


def test_too_many_recipients_are_refused(settings: Any) -> None:
    settings.SYNC_RECIPIENTS_MAX = 2
    keys = [recipient()[0] for _ in range(3)]
    with pytest.raises(EnvelopeTooLarge, match="SYNC_RECIPIENTS_MAX"):
        read(header([new_group(PLACE, [0], keys).facts], 1), [b"[]"])


GOOD = "A" * 108


@pytest.mark.parametrize(
    "raw",
    [
        f'[0,2,"I",0,120,null,null,null,"{GOOD}"]',  # a model that is not sealed
        f'[0,0,"I",0,120,null,"why",null,"{GOOD}"]',  # a reason in the open
        f'[0,0,"I",0,120,null,null,"K-1","{GOOD}"]',
        '[0,0,"I",0,120,null,null,null,"too short"]',
        f'[0,0,"I",0,120,null,null,null,"{GOOD}\\u0000"]',
        f'[1,0,"I",0,120,null,null,null,"{GOOD}"]',
        f'[0,9,"I",0,120,null,null,null,"{GOOD}"]',
        f'[0,true,"I",0,120,null,null,null,"{GOOD}"]',
        f'[0,0,"X",0,120,null,null,null,"{GOOD}"]',
        f'[0,0,"P",0,120,null,null,null,"{GOOD}"]',
        f'[0,0,"I",1e3,120,null,null,null,"{GOOD}"]',
        f'[0,0,"I",0,9999,null,null,null,"{GOOD}"]',
        f'[0,0,"I",0,120,5,null,null,"{GOOD}"]',
        f'[0,0,"I",0,120,null,null,null,"{GOOD}",2]',
        f'[0,0,"I",0,120,null,null,null,"{GOOD}",0,0]',
    ],
)
def test_a_sealed_line_is_checked_like_any_other(raw: str) -> None:
    public, private = recipient()
    lines = [raw.encode()]
    checked = read(header([new_group(PLACE, [0, 1], [public]).facts], 1), lines)
    for keys in ({}, {key_id_of(public): private}):
        with pytest.raises(MalformedEnvelope, match="line 1"):
            list(read_lines(checked, opened_lines(checked, lines, keys)))


def test_a_sealed_line_that_is_whole_is_read() -> None:
    checked = read(header([new_group(PLACE, [0], [recipient()[0]]).facts], 1), [b"[]"])
    (found,) = read_lines(checked, [line(0, 0, GOOD)])
    assert (found.key, found.payload, found.user) == (SEALED_KEY, f'"{GOOD}"', "mona")
