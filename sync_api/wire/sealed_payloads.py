"""Payloads sealed to recipients: X25519, HKDF-SHA256 and ChaCha20-Poly1305.

The models of a batch that are sealed to the same recipients make one group. A group has a content key of its own,
wrapped for each recipient under a key that only it can agree on with the group's ephemeral key:

    header["sealed"] = [{"models": [0, 2], "key": hex, "recipients": [{"key_id": hex, "wrapped": hex}]}]

A sealed line holds null for reason and previous key and, in place of its payload, the base64 text of the encrypted
`[previous key, reason, payload]`, filled up with spaces so that its length says little. The ciphertext is bound to
device, epoch, batch number, line and model: moved to another place it does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_INFO = b"syncserver-sealed-key-1\0"
LINE_INFO = b"syncserver-sealed-line-1\0"
FILES_INFO = b"syncserver-sealed-files-1\0"
KEY_ID_HEX = 16
WRAPPED_HEX = 96
PADDED_TO_BYTES = 64
ONCE = bytes(12)
"""The nonce under a wrapping key: it encrypts one content key and nothing else."""

SEALED_KEY = "(sealed)"
"""What stands in place of a record's key that cannot be read here."""
BASE64 = re.compile(r"[A-Za-z0-9+/]{24,}={0,2}")
KEY_ID = re.compile(r"[0-9a-f]{16}")
PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")
WRAPPED = re.compile(r"[0-9a-f]{96}")

_nonce = struct.Struct(">xxxxQ").pack
FILES_NONCE = b"\xff" * 4 + bytes(8)
"""No line has it: a line's nonce begins with four zeros. One text of files per group, so it is used once."""
FILES_PADDED_TO_BYTES = 1_024


class Place(NamedTuple):
    """Where a batch stands: what its ciphertexts are bound to."""

    device: str
    epoch: str
    number: int


class Content(NamedTuple):
    """What a sealed line holds. `payload` is raw JSON text, `key` the value of the model's key in it."""

    previous_key: str | None
    reason: str | None
    payload: str
    key: str | int


@dataclass(frozen=True, slots=True)
class Group:
    """The content key of one group of models, ready for use, and what the header tells of the group."""

    cipher: ChaCha20Poly1305
    facts: dict[str, Any]


def key_id_of(public_hex: str) -> str:
    """What a recipient's key is known by: 16 hex digits of its SHA-256."""
    return hashlib.sha256(bytes.fromhex(public_hex)).hexdigest()[:KEY_ID_HEX]


def is_usable(public_hex: str) -> bool:
    """Whether a secret can be agreed on with this key: 64 hex digits, and no point of small order."""
    if not PUBLIC_KEY.fullmatch(public_hex):
        return False
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(public_hex)))
    except ValueError:
        return False
    return True


# --- sealing -------------------------------------------------------------------------------------------------


def new_group(place: Place, models: Sequence[int], public_keys: Sequence[str]) -> Group:
    """A group with a fresh content key, wrapped for these keys (hex). ValueError for a key that is not usable."""
    ephemeral = X25519PrivateKey.generate()
    public = ephemeral.public_key().public_bytes_raw()
    content_key = os.urandom(32)
    recipients = []
    for recipient in sorted(public_keys):
        raw = bytes.fromhex(recipient)
        wrapping = wrapping_key(ephemeral.exchange(X25519PublicKey.from_public_bytes(raw)), public, raw, place)
        wrapped = ChaCha20Poly1305(wrapping).encrypt(ONCE, content_key, None)
        recipients.append({"key_id": key_id_of(recipient), "wrapped": wrapped.hex()})
    facts = {"models": list(models), "key": public.hex(), "recipients": recipients}
    return Group(ChaCha20Poly1305(content_key), facts)


def seal_content(
    group: Group, place: Place, index: int, label: str, *, previous_key: str | None, reason: str | None, payload: str
) -> str:
    """The base64 text that takes the payload's place in line `index` (from 0)."""
    told = f"[{escaped(previous_key)},{escaped(reason)},{payload}]".encode()
    told += b" " * (-len(told) % PADDED_TO_BYTES)
    sealed = group.cipher.encrypt(_nonce(index), told, bound_to(place, index, label))
    return base64.b64encode(sealed).decode("ascii")


def seal_files(group: Group, place: Place, entries: Sequence[Sequence[Any]]) -> str:
    """The base64 text of what the header tells of the group's files (see `sync_api.wire.files`)."""
    told = orjson.dumps(list(entries))
    told += b" " * (-len(told) % FILES_PADDED_TO_BYTES)
    return base64.b64encode(group.cipher.encrypt(FILES_NONCE, told, files_bound_to(place, group))).decode("ascii")


def open_files(group: Group, place: Place, text: str) -> Any:
    """What `seal_files` was given, its form not looked at; None for a text that does not open."""
    try:
        told = group.cipher.decrypt(FILES_NONCE, base64.b64decode(text, validate=True), files_bound_to(place, group))
        return orjson.loads(told)
    except (InvalidTag, ValueError, binascii.Error):
        return None


def files_bound_to(place: Place, group: Group) -> bytes:
    return FILES_INFO + json.dumps([*place, group.facts["models"]]).encode()


def escaped(text: str | None) -> str:
    """JSON of a text before the payload, which begins at the second bracket."""
    return "null" if text is None else orjson.dumps(text).decode().replace("[", "\\u005b")


# --- opening -------------------------------------------------------------------------------------------------


def open_group(facts: Mapping[str, Any], place: Place, keys: Mapping[str, X25519PrivateKey]) -> Group | None:
    """The group as one of `keys` (by key id) opens it; None when none does."""
    ephemeral = bytes.fromhex(facts["key"])
    for recipient in facts["recipients"]:
        own = keys.get(recipient["key_id"])
        if own is None:
            continue
        try:
            shared = own.exchange(X25519PublicKey.from_public_bytes(ephemeral))
            wrapping = wrapping_key(shared, ephemeral, own.public_key().public_bytes_raw(), place)
            content_key = ChaCha20Poly1305(wrapping).decrypt(ONCE, bytes.fromhex(recipient["wrapped"]), None)
            return Group(ChaCha20Poly1305(content_key), dict(facts))
        except (InvalidTag, ValueError):
            continue
    return None


def open_content(
    group: Group, place: Place, index: int, model: Mapping[str, Any], text: str, key_at: int
) -> Content | None:
    """What a sealed line holds; None for a ciphertext that is altered, misplaced, or holds no row of the model.

    `model` is its description in the header, `key_at` the place of its key among the fields.
    """
    try:
        sealed = base64.b64decode(text, validate=True)
        told = group.cipher.decrypt(_nonce(index), sealed, bound_to(place, index, model["label"])).rstrip(b" ")
        values = orjson.loads(told)
    except (InvalidTag, ValueError, binascii.Error):
        return None
    if type(values) is not list or len(values) != 3 or type(values[2]) is not list:
        return None
    previous_key, reason, row = values
    if len(row) != len(model["fields"]) or type(row[key_at]) not in (str, int):
        return None
    if not all(value is None or type(value) is str for value in (previous_key, reason)):
        return None
    start = told.index(b"[", 1)
    is_whole = told.endswith(b"]") and told[:start].endswith(b",")
    if not is_whole or not prefix_is(told[: start - 1], previous_key, reason):
        return None
    return Content(previous_key, reason, told[start:-1].decode(), row[key_at])


def prefix_is(prefix: bytes, previous_key: str | None, reason: str | None) -> bool:
    """Whether the texts before the payload hold no bracket of their own."""
    try:
        return bool(orjson.loads(prefix + b"]") == [previous_key, reason])
    except ValueError:
        return False


# --- what both need ----------------------------------------------------------------------------------------------


def wrapping_key(shared: bytes, ephemeral: bytes, recipient: bytes, place: Place) -> bytes:
    info = KEY_INFO + json.dumps(place).encode()
    return HKDF(algorithm=SHA256(), length=32, salt=ephemeral + recipient, info=info).derive(shared)


def bound_to(place: Place, index: int, label: str) -> bytes:
    return LINE_INFO + json.dumps([*place, index, label]).encode()


def is_sealed_header(value: Any) -> bool:
    """Whether the header's member `sealed` has its form. That its models are there is for `read_header` to see."""
    return isinstance(value, list) and len(value) > 0 and all(map(is_group, value))


def is_group(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"models", "key", "recipients"}
        and isinstance(value["models"], list)
        and len(value["models"]) > 0
        and all(type(model) is int and model >= 0 for model in value["models"])
        and is_hex(PUBLIC_KEY, value["key"])
        and isinstance(value["recipients"], list)
        and len(value["recipients"]) > 0
        and all(map(is_recipient, value["recipients"]))
    )


def is_recipient(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"key_id", "wrapped"}
        and is_hex(KEY_ID, value["key_id"])
        and is_hex(WRAPPED, value["wrapped"])
    )


def is_hex(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
