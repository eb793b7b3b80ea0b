"""A server's signed list of recipients: its own key and those it knows, for the devices that it enrols.

    {"signer": name, "at": moment, "recipients": [{"name", "public_key"}, ...], "signature"}

A device takes it from the server that it is enrolled with, by that server's pinned key. Keys that such a list brought
and a later one lacks are retired, so that a rotated key goes out of use; keys added by hand stay.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from sync_api.conf import alias_settings, limit
from sync_api.exceptions import RecipientsUnproven
from sync_api.models import LocalDevice, Recipient
from sync_api.recipients.book import add_recipient, known_recipients, retire_recipient
from sync_api.recipients.own import own_key
from sync_api.transactions import immediate
from sync_api.wire.certificates import is_signed_by, signed
from sync_api.wire.keys import device_keys

RECIPIENTS = b"syncserver-recipients-1\0"


@dataclass(frozen=True, slots=True)
class TakenList:
    """Key ids that came into use and that went out of it."""

    added: list[str]
    retired: list[str]


def recipient_list(alias: str) -> dict[str, Any]:
    """This installation's list, signed. Makes its recipient key if it has none."""
    name = alias_settings(alias).device
    own = own_key(name)
    known = [one for one in known_recipients(alias) if one.retired_at is None and one.name != name]
    recipients = [{"name": own.name, "public_key": own.public_key}]
    recipients += [{"name": one.name, "public_key": one.public_key} for one in known]
    facts = {"signer": name, "at": timezone.now().isoformat(), "recipients": recipients}
    return signed(RECIPIENTS, facts, device_keys(name))


def digest_of(recipients: list[dict[str, str]]) -> str:
    """SHA-256 over names and keys, in hex: the same for the same list, whenever it was signed."""
    return hashlib.sha256(
        "\n".join(sorted(f"{one['name']} {one['public_key']}" for one in recipients)).encode()
    ).hexdigest()


def newer_list(alias: str, known: str | None) -> dict[str, Any] | None:
    """This installation's list for a device that says the digest of the one it knows; None where it is the same."""
    if known is None:
        return None
    mine = recipient_list(alias)
    return None if digest_of(mine["recipients"]) == known else mine


def check_list(value: Any, *, server: str, server_key: str) -> list[dict[str, str]]:
    """The recipients of a list that this server signed. RecipientsUnproven."""
    if not is_signed_by(RECIPIENTS, value, server_key) or value.get("signer") != server:
        raise RecipientsUnproven(server=server)
    recipients = value.get("recipients")
    if not isinstance(recipients, list) or len(recipients) > int(limit("SYNC_RECIPIENTS_KNOWN_MAX")):
        raise RecipientsUnproven(server=server)
    if not all(isinstance(one, dict) and one.keys() == {"name", "public_key"} for one in recipients):
        raise RecipientsUnproven(server=server)
    if not all(isinstance(text, str) for one in recipients for text in one.values()):
        raise RecipientsUnproven(server=server)
    return recipients


def take_list(alias: str, value: Any, *, server: str, server_key: str) -> TakenList:
    """Know what the server's list says. Opens its own transaction: wholly or not at all; again, it changes nothing.

    RecipientsUnproven, RecipientKeyInvalid, RecipientKeyTaken.
    """
    recipients = check_list(value, server=server, server_key=server_key)
    by = f"server {server}"
    with immediate(alias):
        in_use = {one.key_id for one in known_recipients(alias) if one.retired_at is None}
        listed = {add_recipient(alias, one["name"], one["public_key"], by=by).key_id for one in recipients}
        brought = Recipient.objects.using(alias).filter(added_by=by, retired_at=None).exclude(key_id__in=listed)
        gone = sorted(brought.values_list("key_id", flat=True))
        for key_id in gone:
            retire_recipient(alias, key_id)
        LocalDevice.objects.using(alias).filter(name=alias_settings(alias).device, server_name=server).update(
            recipients_digest=digest_of(recipients)
        )
    return TakenList(sorted(listed - in_use), gone)
