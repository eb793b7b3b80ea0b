"""The envelope's bytes: what is sealed is read back, and nothing that was touched on the way is."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_api.exceptions import EnvelopeTooLarge, ErasedLineUnproven, MalformedEnvelope
from sync_api.wire import chain
from sync_api.wire.format import MAGIC, PREFIX_BYTES, decode, encode
from sync_api.wire.header import read_header
from sync_api.wire.keys import DeviceKeys
from sync_api.wire.lines import quoted, read_lines
from tests.integration.field import Chain, Enrolled, raw_lines

KEYS = DeviceKeys(Ed25519PrivateKey.from_private_bytes(bytes(32)), bytes(32))
DEVICE = Enrolled("laptop-9", KEYS, {"device": "laptop-9", "public_key": KEYS.public_hex}, "")
SALT = bytes(range(32))


def sealed(lines: list[bytes], **facts: Any) -> bytes:
    header = {**Chain(DEVICE, "ab" * 16, {"kind": "fresh"}).header(len(lines)), **facts}
    return encode(header, lines, salt=SALT, keys=KEYS).content


FLIPPED = sealed(raw_lines(20, "flip"))


def envelope_of(content: bytes) -> bytes:
    """Any content as a signed-looking envelope."""
    return MAGIC + bytes(64) + zstandard.ZstdCompressor().compress(content)


texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts | st.just('[],"\\')


@given(
    st.lists(
        st.tuples(texts, texts, texts, json_values, st.sampled_from("IUDB"), st.integers(-(10**12), 10**12)),
        min_size=1,
        max_size=6,
    )
)
def test_lines_are_read_as_they_were_written_and_payloads_keep_their_own_text(lines: list[Any]) -> None:
    payloads = [json.dumps([f"key {i}", line[3]]) for i, line in enumerate(lines)]
    raw = [
        f'[{i},0,"{action}",{dt},null,{quoted(user)},{quoted(reason)},{quoted(previous)},{payloads[i]}]'.encode()
        for i, (user, reason, previous, _, action, dt) in enumerate(lines)
    ]
    envelope = decode(sealed(raw))
    assert envelope.is_signed_by(KEYS.public_hex)
    header = read_header(envelope.header, lines=len(envelope.lines))
    found = list(read_lines(header, envelope.lines))
    assert [line.payload for line in found] == payloads
    told = [tuple(text and text.replace("\0", "\N{SYMBOL FOR NULL}") for text in line[:3]) for line in lines]
    assert [(line.user, line.reason, line.previous_key) for line in found] == told
    assert [line.captured_at - header.time for line in found] == [line[5] for line in lines]


def test_the_same_input_gives_the_same_bytes() -> None:
    lines = raw_lines(3, "same")
    assert sealed(lines) == sealed(lines)


def test_every_97th_cut_is_refused() -> None:
    content = sealed(raw_lines(200, "cut"))
    for end in range(0, len(content), 97):
        with pytest.raises(MalformedEnvelope):
            decode(content[:end])


@settings(max_examples=200)
@given(st.data())
def test_a_flipped_bit_never_passes_as_the_device_s(data: st.DataObject) -> None:
    content = bytearray(FLIPPED)
    place = data.draw(st.integers(0, len(content) * 8 - 1))
    content[place // 8] ^= 1 << place % 8
    try:
        envelope = decode(bytes(content))
    except (MalformedEnvelope, EnvelopeTooLarge):
        return
    same = envelope.hash == decode(FLIPPED).hash  # a bit of zstd's frame that carries no content
    assert same or not envelope.is_signed_by(KEYS.public_hex)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_with_an_error_of_the_package(content: bytes) -> None:
    for one in (content, MAGIC + content, envelope_of(content)):
        with pytest.raises((MalformedEnvelope, EnvelopeTooLarge)):
            decode(one)


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(MalformedEnvelope):
        decode(sealed(raw_lines(2, "more")) + b"more")


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("SYNC_ENVELOPE_BYTES_MAX", 100),
        ("SYNC_CONTENT_BYTES_MAX", 500),
        ("SYNC_HEADER_BYTES_MAX", 50),
        ("SYNC_LINE_BYTES_MAX", 20),
        ("SYNC_UNIT_LINES_MAX", 2),
    ],
)
def test_each_limit_of_the_bytes_is_refused_by_its_name(settings: Any, limit: str, value: int) -> None:
    content = sealed(raw_lines(5, "limit"))
    decode(content)
    settings.SYNC_BATCH_LINES = 2
    setattr(settings, limit, value)
    with pytest.raises(EnvelopeTooLarge, match=limit):
        decode(content)


def test_too_many_models_are_refused(settings: Any) -> None:
    settings.SYNC_MODELS_PER_BATCH_MAX = 0
    envelope = decode(sealed(raw_lines(1, "models")))
    with pytest.raises(EnvelopeTooLarge, match="SYNC_MODELS_PER_BATCH_MAX"):
        read_header(envelope.header, lines=1)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(settings: Any) -> None:
    settings.SYNC_DECOMPRESSION_FREE_BYTES = 1_000_000
    with pytest.raises(EnvelopeTooLarge, match="SYNC_DECOMPRESSION_RATIO_MAX"):
        decode(envelope_of(bytes(50_000_000)))


def test_a_frame_that_does_not_say_its_size_is_refused() -> None:
    writer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    frame = writer.compress(b"{}\n{}\n[]") + writer.flush()
    with pytest.raises(MalformedEnvelope):
        decode(MAGIC + bytes(64) + frame)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", 2),
        ("device", "../etc"),
        ("certificate", None),
        ("epoch", "AB" * 16),
        ("began", {"kind": "continues"}),
        ("began", {"kind": "fresh", "more": 1}),
        ("number", 0),
        ("number", True),
        ("number", "1"),
        ("previous", "ab"),
        ("first", 0),
        ("count", 3),
        ("units", 3),
        ("era", -1),
        ("app", 1),
        ("storage", "mysql"),
        ("producers", []),
        ("producers", [1]),
        ("time", 2**63),
        ("effective", None),
        ("models", {}),
        ("models", [{"label": "a.b"}]),
        ("unheard_of", 1),
    ],
)
def test_a_header_with_a_wrong_member_is_refused_by_its_name(name: str, value: Any) -> None:
    envelope = decode(sealed(raw_lines(2, "header"), **{name: value}))
    with pytest.raises(MalformedEnvelope):
        read_header(envelope.header, lines=2)


@pytest.mark.parametrize("name", sorted(Chain(DEVICE, "ab" * 16, {"kind": "fresh"}).header(1)))
def test_a_header_without_a_member_is_refused(name: str) -> None:
    facts = decode(sealed(raw_lines(2, "header"))).header
    del facts[name]
    with pytest.raises(MalformedEnvelope):
        read_header(facts, lines=2)


WRONG_LINES = {
    "no JSON": b"[0,0,",
    "no list": b"{}",
    "too short": b'[0,0,"I",0,0,null,null,null]',
    "too long": b'[0,0,"I",0,0,null,null,null,["k","t"],0,0]',
    "unit from 1": b'[1,0,"I",0,0,null,null,null,["k","t"]]',
    "unit is text": b'["0",0,"I",0,0,null,null,null,["k","t"]]',
    "unit is a boolean": b'[false,0,"I",0,0,null,null,null,["k","t"]]',
    "unknown model": b'[0,1,"I",0,0,null,null,null,["k","t"]]',
    "model below zero": b'[0,-1,"I",0,0,null,null,null,["k","t"]]',
    "unknown action": b'[0,0,"X",0,0,null,null,null,["k","t"]]',
    "reserved action": b'[0,0,"P",0,0,null,null,null,["k","t"]]',
    "action is a list": b'[0,0,["I"],0,0,null,null,null,["k","t"]]',
    "time is text": b'[0,0,"I","0",0,null,null,null,["k","t"]]',
    "time out of range": b'[0,0,"I",9223372036854775807,0,null,null,null,["k","t"]]',
    "offset too large": b'[0,0,"I",0,100000,null,null,null,["k","t"]]',
    "user is a number": b'[0,0,"I",0,0,1,null,null,["k","t"]]',
    "reason is a list": b'[0,0,"I",0,0,null,[],null,["k","t"]]',
    "bracket in a text": b'[0,0,"I",0,0,"a[b",null,null,["k","t"]]',
    "payload is null": b'[0,0,"I",0,0,null,null,null,null]',
    "a value missing": b'[0,0,"I",0,0,null,null,null,["k"]]',
    "a value too many": b'[0,0,"I",0,0,null,null,null,["k","t",1]]',
    "key is null": b'[0,0,"I",0,0,null,null,null,[null,"t"]]',
    "unknown producer": b'[0,0,"I",0,0,null,null,null,["k","t"],7]',
    "not UTF-8": b'[0,0,"I",0,0,"\xff",null,null,["k","t"]]',
}


@pytest.mark.parametrize("line", WRONG_LINES.values(), ids=WRONG_LINES.keys())
def test_a_wrong_line_is_refused(line: bytes) -> None:
    envelope = decode(sealed([line], units=1))
    with pytest.raises(MalformedEnvelope, match="line 1"):
        list(read_lines(read_header(envelope.header, lines=1), envelope.lines))


def test_a_bracket_must_be_escaped_in_every_line() -> None:
    lines = [
        b'[0,0,"I",0,0,"a\\u005bb",null,null,["k","t"]]',
        b'[1,0,"I",0,0,"a[b",null,null,["k","t"]]',
    ]
    envelope = decode(sealed(lines))
    with pytest.raises(MalformedEnvelope, match="line 2"):
        list(read_lines(read_header(envelope.header, lines=2), envelope.lines))


def test_fewer_units_than_the_header_says_are_refused() -> None:
    lines = [b'[0,0,"I",0,0,null,null,null,["k","t"]]'] * 2
    envelope = decode(sealed(lines, units=2))
    with pytest.raises(MalformedEnvelope):
        list(read_lines(read_header(envelope.header, lines=2), envelope.lines))


def test_a_batch_with_an_erased_line_keeps_its_hash_but_is_not_taken_without_proof() -> None:
    lines = raw_lines(3, "erased")
    whole = sealed(lines)
    before = decode(whole)
    hashes = chain.line_hashes(SALT, lines)
    left = [lines[0], b"~" + hashes[1].hex().encode(), lines[2]]
    salts = [chain.line_salt(SALT, 0).hex(), None, chain.line_salt(SALT, 2).hex()]
    header_bytes = orjson.dumps(before.header, option=orjson.OPT_SORT_KEYS)
    content = b"\n".join([header_bytes, orjson.dumps({"salts": salts}), *left])
    erased = decode(whole[:PREFIX_BYTES] + zstandard.ZstdCompressor().compress(content))
    assert erased.hash == before.hash
    assert erased.is_signed_by(KEYS.public_hex)
    with pytest.raises(ErasedLineUnproven, match="Line 2"):
        list(read_lines(read_header(erased.header, lines=3), erased.lines))
