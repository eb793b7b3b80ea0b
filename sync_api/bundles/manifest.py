"""The manifest of a bundle: what is in it, who made it, signed by the exporter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from sync_api.conf import limit
from sync_api.exceptions import BundleDamaged
from sync_api.wire.certificates import is_signed_by, signed
from sync_api.wire.header import DEVICE, HEX32, HEX64, is_certificate, number, text
from sync_api.wire.keys import DeviceKeys
from sync_api.wire.statements import is_moment

BUNDLE = b"syncserver-bundle-1\0"
FORMAT = 1
MANIFEST = "manifest.json"
STATEMENTS = "statements.json"
PIECES_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Listed:
    """A batch as the manifest lists it."""

    device: str
    epoch: str
    number: int
    hash: str
    size: int
    sha256: str

    @property
    def facts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in Listed.__slots__}


@dataclass(frozen=True, slots=True)
class ListedContent:
    """The bytes of a file as the manifest lists them."""

    sha256: str
    size: int

    @property
    def facts(self) -> dict[str, Any]:
        return {"sha256": self.sha256, "size": self.size}


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checked manifest; its signature is that of the key its certificate names, whom to trust is not said."""

    bundle: str
    piece: int
    pieces: int
    exporter: str
    certificate: dict[str, Any]
    made_at: str
    statements: dict[str, Any]
    batches: list[Listed]
    files: list[ListedContent]


def batch_name(place: int) -> str:
    """The name of the batch at this place, from 1."""
    return f"batches/{place:06}.batch"


def content_name(place: int) -> str:
    """The name of the file's bytes at this place, from 1."""
    return f"files/{place:06}.bytes"


def signed_manifest(
    facts: dict[str, Any], batches: Sequence[Listed], keys: DeviceKeys, files: Sequence[ListedContent] = ()
) -> bytes:
    """The manifest's bytes. `facts` are all members but `format`, `batches` and `files`, which is there only where
    the bundle carries bytes of files."""
    listed = {"files": [one.facts for one in files]} if files else {}
    whole = {"format": FORMAT, **facts, "batches": [batch.facts for batch in batches], **listed}
    return orjson.dumps(signed(BUNDLE, whole, keys), option=orjson.OPT_SORT_KEYS)


def is_size(value: Any) -> bool:
    return number(0)(value)


def is_statements(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"size", "sha256"}
        and is_size(value["size"])
        and text(HEX64)(value["sha256"])
    )


BATCH_RULES: dict[str, Callable[[Any], bool]] = {
    "device": text(DEVICE),
    "epoch": text(HEX32),
    "number": number(1),
    "hash": text(HEX64),
    "size": is_size,
    "sha256": text(HEX64),
}


def is_batch(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == BATCH_RULES.keys()
        and all(rule(value[name]) for name, rule in BATCH_RULES.items())
    )


RULES: dict[str, Callable[[Any], bool]] = {
    "format": lambda value: value == FORMAT,
    "bundle": text(HEX32),
    "piece": number(1, PIECES_MAX),
    "pieces": number(1, PIECES_MAX),
    "exporter": text(DEVICE),
    "certificate": is_certificate,
    "made_at": lambda value: isinstance(value, str) and len(value) <= 40 and is_moment(value),
    "statements": is_statements,
    "batches": lambda value: isinstance(value, list) and all(map(is_batch, value)),
    "signature": lambda value: isinstance(value, str),
}


def is_content(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"sha256", "size"}
        and is_size(value["size"])
        and text(HEX64)(value["sha256"])
    )


OPTIONAL: dict[str, Callable[[Any], bool]] = {
    "files": lambda value: isinstance(value, list) and len(value) > 0 and all(map(is_content, value)),
}


def read_manifest(content: bytes) -> Manifest:
    """The manifest, its form, order and signature checked. BundleDamaged names the member that is wrong."""
    try:
        facts = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BundleDamaged(what="its manifest is not JSON") from error
    if not isinstance(facts, dict) or orjson.dumps(facts, option=orjson.OPT_SORT_KEYS) != content:
        raise BundleDamaged(what="its manifest is not in the form in which manifests are written")
    for name in facts.keys() - RULES.keys():
        if name in OPTIONAL and OPTIONAL[name](facts[name]):
            continue
        raise BundleDamaged(what=f"its manifest's member '{name[:50]}' is not known")
    for name, rule in RULES.items():
        if name not in facts or not rule(facts[name]):
            raise BundleDamaged(what=f"its manifest's member '{name}' is missing or wrong")
    certificate = facts["certificate"]
    if facts["piece"] > facts["pieces"] or certificate.get("device") != facts["exporter"]:
        raise BundleDamaged(what="its manifest contradicts itself")
    if not is_signed_by(BUNDLE, facts, certificate.get("public_key", "")):
        raise BundleDamaged(what="the signature of its manifest is not the exporter's")
    batches = [Listed(**batch) for batch in facts["batches"]]
    check_batches(batches)
    files = [ListedContent(**one) for one in facts.get("files", [])]
    if len({one.sha256 for one in files}) != len(files):
        raise BundleDamaged(what="it lists a file twice")
    own = {name: facts[name] for name in Manifest.__slots__ if name not in ("batches", "files")}
    return Manifest(**own, batches=batches, files=files)


def check_batches(batches: Sequence[Listed]) -> None:
    if len(batches) > int(limit("SYNC_BUNDLE_FILES_MAX")):
        raise BundleDamaged(what=f"it lists {len(batches)} batches, more than SYNC_BUNDLE_FILES_MAX allows")
    if len({(batch.device, batch.epoch, batch.number, batch.hash) for batch in batches}) != len(batches):
        raise BundleDamaged(what="it lists a batch twice")
    size_max = int(limit("SYNC_ENVELOPE_BYTES_MAX"))
    if any(batch.size > size_max for batch in batches):
        raise BundleDamaged(what="it lists a batch that is larger than SYNC_ENVELOPE_BYTES_MAX allows")
