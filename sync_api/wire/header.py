"""What a batch's header must hold, and nothing less."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sync_api.exceptions import MalformedEnvelope
from sync_api.schema.describe import fingerprint_of
from sync_api.wire.files import is_files, is_sealed_files
from sync_api.wire.format import FORMAT, check_size
from sync_api.wire.sealed_payloads import is_sealed_header

HEX32 = re.compile(r"[0-9a-f]{32}")
HEX64 = re.compile(r"[0-9a-f]{64}")
DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LABEL = re.compile(r"[A-Za-z0-9_]{1,100}\.[a-z0-9_]{1,100}")
NUMBER_MAX = 2**63 - 1
TIME_MIN, TIME_MAX = -62_135_596_800_000_000, 253_402_300_799_999_999
"""Microseconds since 1970: the years 1 to 9999."""
TEXT_MAX = 400
COLUMNS_MAX = 5_000


@dataclass(frozen=True, slots=True)
class Header:
    """A checked header. `began` is {"kind": "fresh"} or {"kind": "continues", "epoch", "number", "hash"}."""

    device: str
    certificate: dict[str, Any]
    epoch: str
    began: dict[str, Any]
    number: int
    previous: str
    first: int
    count: int
    units: int
    era: int
    app: str
    storage: str
    producers: list[str]
    time: int
    effective: int
    models: list[dict[str, Any]]
    sealed: list[dict[str, Any]] = field(default_factory=list)
    files: list[list[Any]] = field(default_factory=list)
    sealed_files: list[list[Any]] = field(default_factory=list)


def text(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def number(low: int, high: int = NUMBER_MAX) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def short(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= TEXT_MAX and "\0" not in value


def is_certificate(value: Any) -> bool:
    """A flat object of short texts: whose it is, is for the inbox to find out."""
    return isinstance(value, dict) and all(map(short, value)) and all(map(short, value.values()))


def is_began(value: Any) -> bool:
    if value == {"kind": "fresh"}:
        return True
    return (
        isinstance(value, dict)
        and value.keys() == {"kind", "epoch", "number", "hash"}
        and value["kind"] == "continues"
        and text(HEX32)(value["epoch"])
        and number(0)(value["number"])
        and (value["hash"] == "" or text(HEX64)(value["hash"]))
    )


RULES: dict[str, Callable[[Any], bool]] = {
    "format": lambda value: value == FORMAT,
    "device": text(DEVICE),
    "certificate": is_certificate,
    "epoch": text(HEX32),
    "began": is_began,
    "number": number(1),
    "previous": lambda value: value == "" or text(HEX64)(value),
    "first": number(1),
    "count": number(1),
    "units": number(1),
    "era": number(0, 2**31 - 1),
    "app": short,
    "storage": lambda value: value in ("sqlite", "postgresql"),
    "producers": lambda value: isinstance(value, list) and len(value) > 0 and all(map(short, value)),
    "time": number(TIME_MIN, TIME_MAX),
    "effective": number(TIME_MIN, TIME_MAX),
    "models": lambda value: isinstance(value, list) and all(map(is_model, value)),
}
OPTIONAL: dict[str, Callable[[Any], bool]] = {
    "sealed": is_sealed_header,
    "files": is_files,
    "sealed_files": is_sealed_files,
}
"""Members that a batch has only where they say something. See `sync_api.wire.sealed_payloads` and `wire.files`."""


def is_model(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"label", "pk", "fields", "fingerprint"}
        and text(LABEL)(value.get("label"))
        and isinstance(value.get("fields"), list)
        and 0 < len(value["fields"]) <= COLUMNS_MAX
        and all(map(is_field, value["fields"]))
        and len({field[0] for field in value["fields"]}) == len(value["fields"])
        and value.get("pk") in [field[0] for field in value["fields"]]
        and text(HEX64)(value.get("fingerprint"))
    )


def is_field(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(short(part) and part for part in value[:2])
        and (value[2] is None or text(LABEL)(value[2]))
    )


def read_header(facts: dict[str, Any], *, lines: int) -> Header:
    """The checked header of an envelope with so many lines. MalformedEnvelope names the member that is wrong."""
    for name in facts.keys() - RULES.keys():
        if name not in OPTIONAL:
            raise MalformedEnvelope(what=f"the header's member '{name[:50]}' is not known")
        if not OPTIONAL[name](facts[name]):
            raise MalformedEnvelope(what=f"the header's member '{name}' is wrong")
    for name, rule in RULES.items():
        if name not in facts or not rule(facts[name]):
            raise MalformedEnvelope(what=f"the header's member '{name}' is missing or wrong")
    if facts["count"] != lines:
        raise MalformedEnvelope(what=f"the header counts {facts['count']} lines and there are {lines}")
    if facts["units"] > facts["count"]:
        raise MalformedEnvelope(what="the header counts more units than lines")
    if facts["first"] + facts["count"] > NUMBER_MAX:
        raise MalformedEnvelope(what="the sequence is beyond 64 bits")
    if (facts["number"] == 1) != (facts["previous"] == ""):
        raise MalformedEnvelope(what="only the first batch of an epoch has no batch before it")
    check_size("number of models", len(facts["models"]), "SYNC_MODELS_PER_BATCH_MAX")
    for model in facts["models"]:
        if fingerprint_of(model, facts["storage"]) != model["fingerprint"]:
            raise MalformedEnvelope(what=f"the fingerprint of {model['label']} does not fit its columns")
    check_size("number of producers", len(facts["producers"]), "SYNC_MODELS_PER_BATCH_MAX")
    if "sealed" in facts:
        check_sealed(facts["sealed"], len(facts["models"]))
    if any(entry[0] >= lines for entry in facts.get("files", [])):
        raise MalformedEnvelope(what="the header's member 'files' names a line that is not there")
    if any(entry[0] >= len(facts.get("sealed", [])) for entry in facts.get("sealed_files", [])):
        raise MalformedEnvelope(what="the header's member 'sealed_files' names a group that is not there")
    return Header(**{name: facts[name] for name in Header.__slots__ if name in facts})


def check_sealed(groups: list[dict[str, Any]], models: int) -> None:
    """Every group is of models of this batch, each in one group only, within the limit of recipients."""
    sealed = [model for group in groups for model in group["models"]]
    if len(set(sealed)) != len(sealed) or max(sealed) >= models:
        raise MalformedEnvelope(what="the header's member 'sealed' names a model twice, or one that is not there")
    for group in groups:
        check_size("number of recipients", len(group["recipients"]), "SYNC_RECIPIENTS_MAX")
