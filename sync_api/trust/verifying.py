"""Whether a statement is believed: its form, its signer, and that signer's right to say such a thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from audit.models import Device
from sync_api.exceptions import StatementInvalid, SyncError
from sync_api.models import DeviceCredential, LocalDevice
from sync_api.trust.certificates import check_issued, trusted_servers
from sync_api.trust.revocations import check_not_revoked
from sync_api.wire.certificates import canonical
from sync_api.wire.erasing import is_erased_line
from sync_api.wire.header import DEVICE, HEX32, HEX64, is_certificate, number, short, text
from sync_api.wire.statements import RECEIPTS, is_statement, is_statement_of

KEYS_REVOKED_MAX = 100
ERASED_LINES_MAX = 5_000
EPOCHS_TOLD_MAX = 500
BYTES_MAX = 16 * 1024
"""For a signer that is no server."""
CARRIERS = frozenset({Device.Role.RELAY.value, Device.Role.SERVER.value})


@dataclass(frozen=True, slots=True)
class Signer:
    """Who said it. `is_trusted`: a server whose key is known here; others are known by their certificate."""

    name: str
    role: str
    is_trusted: bool


class Verifier:
    """Checks statements for one database; what it looked up once, it keeps."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.trusted = trusted_servers(alias)
        self.issued: dict[bytes, None] = {}

    def verify(self, statement: Any) -> Signer:
        """Its signer, if it is to be believed. Raises StatementInvalid, CertificateInvalid and their kinds."""
        if not has_form(statement):
            raise StatementInvalid(code="malformed_statement", what="it is not of a form known here")
        signer = self.signer(statement)
        if not may_say(signer, statement):
            raise StatementInvalid(
                code="not_permitted", what=f"'{signer.name}' has no right to say '{statement['kind']}'"
            )
        if statement["kind"] == "revocation":
            check_issuer_of_keys(self.alias, statement)
        return signer

    def signer(self, statement: dict[str, Any]) -> Signer:
        name = statement["signer"]
        if name in self.trusted:
            if not is_statement_of(statement, self.trusted[name]):
                raise wrong_signer(name)
            return Signer(name, Device.Role.SERVER.value, is_trusted=True)
        if len(canonical(statement)) > BYTES_MAX:
            raise StatementInvalid(code="malformed_statement", what="it is larger than what a device has to say")
        certificate: Any = statement.get("certificate")
        self.check_certificate(certificate)
        if certificate["device"] != name or not is_statement_of(statement, certificate["public_key"]):
            raise wrong_signer(name)
        if statement["kind"] != "custody":  # who had it, had it: a lost relay's custody is what one wants to know
            check_not_revoked(self.alias, certificate)
        return Signer(name, certificate["role"], is_trusted=False)

    def check_certificate(self, certificate: Any) -> None:
        known = canonical(certificate) + certificate["signature"].encode() if is_signed(certificate) else b""
        if known not in self.issued:
            check_issued(self.alias, certificate, trusted=self.trusted)
            self.issued[known] = None


def is_signed(certificate: Any) -> bool:
    return is_certificate(certificate) and "signature" in certificate


def wrong_signer(name: str) -> SyncError:
    return StatementInvalid(code="wrong_signer", what=f"it is not signed with the key that is known of '{name}'")


def may_say(signer: Signer, statement: dict[str, Any]) -> bool:
    """Servers speak of what they hold, and revoke; relays of the batches they carry; a device of itself."""
    kind = statement["kind"]
    if kind == "heartbeat":
        return bool(signer.name == statement["device"])
    if kind == "custody":
        return signer.role in CARRIERS or signer.name == statement["device"]
    if kind == "held" and "first" in statement:
        return signer.role in CARRIERS
    return signer.is_trusted


def check_issuer_of_keys(alias: str, revocation: dict[str, Any]) -> None:
    """Only who certified a key may revoke it. Of keys that are not known here it is checked when they are met."""
    credentials = DeviceCredential.objects.using(alias).filter(public_key__in=revocation["public_keys"])
    certificates = list(credentials.values_list("certificate", flat=True))
    own = LocalDevice.objects.using(alias).filter(name=revocation["device"]).exclude(certificate=None)
    certificates += list(own.values_list("certificate", flat=True))
    for certificate in certificates:
        if certificate.get("public_key") in revocation["public_keys"] and (
            certificate.get("issuer") != revocation["signer"] or certificate.get("device") != revocation["device"]
        ):
            raise StatementInvalid(
                code="not_the_issuer",
                what=f"'{revocation['signer']}' did not issue the certificate of '{revocation['device']}'",
            )


# --- forms ---------------------------------------------------------------------------------------------------------


def has_form(statement: Any) -> bool:
    try:
        return is_statement(statement) and FORMS[statement["kind"]](statement)
    except (TypeError, ValueError):  # what JSON cannot hold
        return False


def is_batch_named(statement: dict[str, Any]) -> bool:
    return (
        text(HEX32)(statement.get("epoch"))
        and number(1)(statement.get("number"))
        and text(HEX64)(statement.get("hash"))
        and number(1, statement["number"])(statement.get("first", 1))
    )


def is_revocation(statement: dict[str, Any]) -> bool:
    keys = statement.get("public_keys")
    return (
        isinstance(keys, list)
        and 0 < len(keys) <= KEYS_REVOKED_MAX
        and all(map(text(HEX64), keys))
        and isinstance(statement.get("reason"), str)
        and (statement.get("after", False) is None or is_cut_off(statement.get("after")))
    )


def is_cut_off(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and text(HEX32)(value.get("epoch"))
        and number(0)(value.get("number"))
        and isinstance(value.get("earlier", []), list)
        and len(value.get("earlier", [])) <= EPOCHS_TOLD_MAX
        and all(map(text(HEX32), value.get("earlier", [])))
    )


def is_custody(statement: dict[str, Any]) -> bool:
    return (
        is_batch_named(statement)
        and statement.get("action") in ("received", "handed_over", "erased")
        and text(DEVICE)(statement.get("other"))
        and short(statement.get("via"))
    )


def is_erasure(statement: dict[str, Any]) -> bool:
    lines = statement.get("lines")
    return (
        is_batch_named(statement)
        and isinstance(lines, list)
        and 0 < len(lines) <= ERASED_LINES_MAX
        and all(map(is_erased_line, lines))
        and isinstance(statement.get("reason"), str)
        and short(statement.get("by"))
    )


FORMS: dict[str, Callable[[dict[str, Any]], bool]] = {
    **dict.fromkeys(RECEIPTS, is_batch_named),
    "revocation": is_revocation,
    "custody": is_custody,
    "erasure": is_erasure,
    "heartbeat": lambda statement: True,
}
