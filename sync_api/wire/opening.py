"""Sealed lines in their plain form, for who has a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from sync_api.wire.header import Header
from sync_api.wire.lines import quoted
from sync_api.wire.sealed_payloads import Content, Group, Place, open_content, open_group

Keys = Mapping[str, X25519PrivateKey]
"""Private keys by key id."""


class Opener:
    """Opens the sealed lines of one batch, as far as these keys can.

    `header` holds device, epoch, number, models and sealed, as in the batch's own.
    """

    def __init__(self, header: Mapping[str, Any], keys: Keys) -> None:
        self.models = header["models"]
        self.place = Place(header["device"], header["epoch"], header["number"])
        self.groups: dict[int, Group] = {}
        for facts in header["sealed"]:
            group = open_group(facts, self.place, keys)
            if group is not None:
                self.groups.update(dict.fromkeys(facts["models"], group))
        self.key_at = {
            index: [field[0] for field in self.models[index]["fields"]].index(self.models[index]["pk"])
            for index in self.groups
        }

    def content(self, index: int, model: Any, text: Any) -> Content | None:
        """What line `index` (from 0) of that model holds; None if it cannot be opened, for whatever cause."""
        if type(model) is not int or model not in self.groups or type(text) is not str:
            return None
        described, key_at = self.models[model], self.key_at[model]
        return open_content(self.groups[model], self.place, index, described, text, key_at)


def opened_lines(header: Header, lines: Sequence[bytes], keys: Keys) -> Sequence[bytes]:
    """The lines of a batch as if they had never been sealed; those that do not open stay as they are."""
    facts = {name: getattr(header, name) for name in ("device", "epoch", "number", "models", "sealed")}
    opener = Opener(facts, keys)
    if not opener.groups:
        return lines
    return [opened_line(opener, index, raw) for index, raw in enumerate(lines)]


def opened_line(opener: Opener, index: int, raw: bytes) -> bytes:
    if not raw.startswith(b"["):
        return raw
    try:
        values = orjson.loads(raw)
    except ValueError:
        return raw
    if not 9 <= len(values) <= 10 or not (values[5] is None or type(values[5]) is str):
        return raw
    content = opener.content(index, values[1], values[8])
    if content is None or values[6] is not None or values[7] is not None:
        return raw
    facts = orjson.dumps(values[:5]).decode()[1:-1]
    texts = ",".join(map(quoted, (values[5], content.reason, content.previous_key)))
    producer = b"".join(b"," + orjson.dumps(value) for value in values[9:])
    return f"[{facts},{texts},{content.payload}".encode() + producer + b"]"


def can_open(sealed: Sequence[Mapping[str, Any]], model: int, key_ids: Mapping[str, Any]) -> bool:
    """Whether one of these keys is among the recipients of that model's payloads."""
    return any(
        recipient["key_id"] in key_ids
        for group in sealed
        if model in group["models"]
        for recipient in group["recipients"]
    )
