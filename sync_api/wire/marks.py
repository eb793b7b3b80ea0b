"""Marks: the line that ends an era, or moves chosen records off, and what it says of the records.

A mark travels as any other line, with action "P", alone in its unit and last in its batch. Its model is described in
the header like a study's, and its payload is the JSON array

    [mark_id, is_partial, {"since": n, "moved": [mark_id, ...], "models": {label: {"count", "sha256", "keys"?}}}]

`since` is the first era that the device's records go back to (an earlier mark may have been given up), `moved` names
the partial marks whose records are gone from the device since then. A partial mark lists its records' keys.

`sha256` is over the records in order of their keys: for each, the key's length and text and the SHA-256 of its values
by name. Values that are null are left out, so that a column that was added since does not count.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from sync_api.schema.describe import fingerprint_of

MARK = "P"
MARK_LABEL = "sync_api.finalization"
MARK_DESCRIPTION: dict[str, Any] = {
    "label": MARK_LABEL,
    "pk": "mark_id",
    "fields": [["mark_id", "text", None], ["is_partial", "boolean", None], ["manifest", "json", None]],
}
HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Content:
    """The records of one model: how many, their hash, and their keys where they were chosen."""

    count: int
    sha256: str
    keys: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """What a mark says. `models` holds every model with records, by label."""

    id: str
    is_partial: bool
    since: int
    moved: tuple[str, ...]
    models: Mapping[str, Content]

    @property
    def count(self) -> int:
        return sum(content.count for content in self.models.values())

    @property
    def sha256(self) -> str:
        return digest_of(self.models)


class Records:
    """Counts and hashes the records of one model, added in any order."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}

    def add(self, key: str, names: Sequence[str], payload: str) -> None:
        self.rows[key] = row_digest(names, payload)

    def only(self, keys: Iterable[str]) -> Records:
        """These of the records."""
        chosen = Records()
        chosen.rows = {key: self.rows[key] for key in keys}
        return chosen

    def content(self, *, with_keys: bool = False) -> Content:
        digest = hashlib.sha256()
        keys = sorted(self.rows)
        for key in keys:
            text = key.encode()
            digest.update(b"%d:" % len(text) + text + self.rows[key])
        return Content(len(keys), digest.hexdigest(), tuple(keys) if with_keys else None)


def row_digest(names: Sequence[str], payload: str) -> bytes:
    """SHA-256 of a row's values by name, nulls left out. ValueError for a payload that is no such row."""
    values = orjson.loads(payload)
    if type(values) is not list or len(values) != len(names):
        raise ValueError("The payload is not a row of its description.")
    held = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    return hashlib.sha256(orjson.dumps(held, option=orjson.OPT_SORT_KEYS)).digest()


def digest_of(models: Mapping[str, Content]) -> str:
    """One hash, in hex, over counts and hashes of all models: what a receipt repeats."""
    facts = {label: [content.count, content.sha256] for label, content in models.items() if content.count}
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def new_mark_id() -> str:
    return secrets.token_hex(16)


def mark_fingerprint(storage: str) -> str:
    return fingerprint_of(MARK_DESCRIPTION, storage)


def manifest_of(mark: Mark) -> dict[str, Any]:
    """The mark's third value."""
    models = {
        label: {
            "count": content.count,
            "sha256": content.sha256,
            **({} if content.keys is None else {"keys": list(content.keys)}),
        }
        for label, content in mark.models.items()
    }
    return {"since": mark.since, "moved": list(mark.moved), "models": models}


def mark_payload(mark: Mark) -> str:
    return orjson.dumps([mark.id, mark.is_partial, manifest_of(mark)]).decode()


def read_mark(payload: str | None) -> Mark:
    """The mark of a line's payload. ValueError when it has not its form."""
    values = orjson.loads(payload or "null")
    if type(values) is not list or len(values) != 3:
        raise ValueError("It is not a list of three values.")
    mark_id, is_partial, manifest = values
    if not is_mark_id(mark_id) or type(is_partial) is not bool or type(manifest) is not dict:
        raise ValueError("Its id, its kind or its manifest is malformed.")
    return read_manifest(mark_id, is_partial, manifest)


def read_manifest(mark_id: str, is_partial: bool, manifest: Mapping[str, Any]) -> Mark:
    """The mark of a stored manifest. ValueError when it has not its form."""
    since, moved, models = (manifest.get(name) for name in ("since", "moved", "models"))
    if type(since) is not int or since < 0 or type(moved) is not list or not all(map(is_mark_id, moved)):
        raise ValueError("It does not say since when.")
    if type(models) is not dict:
        raise ValueError("It counts no models.")
    contents = {label: read_content(facts, is_partial=is_partial) for label, facts in models.items()}
    return Mark(mark_id, is_partial, since, tuple(moved), contents)


def read_content(facts: Any, *, is_partial: bool) -> Content:
    if type(facts) is not dict or type(facts.get("count")) is not int or type(facts.get("sha256")) is not str:
        raise ValueError("It does not count a model's records.")
    keys = facts.get("keys")
    if is_partial is (keys is None):
        raise ValueError("Keys belong to a mark of chosen records.")
    if keys is None:
        return Content(facts["count"], facts["sha256"])
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise ValueError("Its keys are not texts.")
    return Content(facts["count"], facts["sha256"], tuple(keys))


def is_mark_id(value: Any) -> bool:
    return type(value) is str and len(value) == 32 and HEX.issuperset(value)
