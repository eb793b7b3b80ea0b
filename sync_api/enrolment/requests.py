"""The enrolment request: a code, the device's name and public key, signed with that key (proof of possession)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sync_api.enrolment.codes import code_of, read_code
from sync_api.exceptions import ProofInvalid
from sync_api.wire.certificates import REQUEST, is_signed_by, signed
from sync_api.wire.keys import DeviceKeys

_KEY = re.compile(r"\A[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class EnrolmentRequest:
    """A checked request. `secret` is what the code says."""

    secret: bytes
    device: str
    public_key: str


def make_request(*, code: str, device: str, keys: DeviceKeys) -> dict[str, Any]:
    """The request's JSON. Raises CodeMistyped before anything is sent."""
    facts = {"code": code_of(read_code(code)), "device": device, "public_key": keys.public_hex}
    return signed(REQUEST, facts, keys)


def read_request(facts: dict[str, Any]) -> EnrolmentRequest:
    """Check form and signature of a request. Raises CodeMistyped or ProofInvalid."""
    secret = read_code(facts["code"])
    if not _KEY.match(facts["public_key"]):
        raise ProofInvalid
    if not is_signed_by(REQUEST, {**facts, "code": code_of(secret)}, facts["public_key"]):
        raise ProofInvalid
    return EnrolmentRequest(secret, facts["device"], facts["public_key"])
