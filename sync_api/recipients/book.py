"""The recipients' public keys that are known in one database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from django.utils import timezone

from sync_api.conf import alias_settings
from sync_api.exceptions import RecipientKeyInvalid, RecipientKeyTaken, RecipientKeyUnknown
from sync_api.models import Recipient
from sync_api.recipients.own import own_key
from sync_api.transactions import immediate
from sync_api.wire.header import DEVICE
from sync_api.wire.sealed_payloads import is_usable, key_id_of


def add_recipient(alias: str, name: str, public_key: str, *, by: str = "") -> Recipient:
    """Know a recipient's key (64 hex digits); one that was retired counts again. Opens its own transaction.

    A name may have several keys: until one is retired, payloads are sealed to all of them. RecipientKeyInvalid,
    RecipientKeyTaken.
    """
    public_key = public_key.strip().lower()
    if not DEVICE.fullmatch(name) or not is_usable(public_key):
        raise RecipientKeyInvalid(name=name)
    with immediate(alias):
        facts = {"name": name, "public_key": public_key, "added_by": by}
        recipient, _ = Recipient.objects.using(alias).get_or_create(key_id=key_id_of(public_key), defaults=facts)
        if recipient.public_key != public_key or recipient.name != name:
            raise RecipientKeyTaken(key_id=recipient.key_id, name=recipient.name)
        if recipient.retired_at is not None:
            recipient.retired_at = None
            recipient.save(using=alias, update_fields=["retired_at"])
    return recipient


def retire_recipient(alias: str, key_id: str) -> Recipient:
    """Seal nothing more to this key. Opens its own transaction; again, it changes nothing. RecipientKeyUnknown."""
    with immediate(alias):
        recipient = Recipient.objects.using(alias).select_for_update().filter(key_id=key_id.strip().lower()).first()
        if recipient is None:
            raise RecipientKeyUnknown(key_id=key_id)
        if recipient.retired_at is None:
            recipient.retired_at = timezone.now()
            recipient.save(using=alias, update_fields=["retired_at"])
    return recipient


def known_recipients(alias: str) -> list[Recipient]:
    return list(Recipient.objects.using(alias).order_by("name", "added_at", "id"))


def public_keys(alias: str, names: Iterable[str]) -> dict[str, list[str]]:
    """The keys in use by name; a name without one is not there. An installation knows its own key by itself."""
    wanted = set(names)
    found: defaultdict[str, list[str]] = defaultdict(list)
    rows = Recipient.objects.using(alias).filter(name__in=wanted, retired_at=None)
    for name, public_key in rows.values_list("name", "public_key"):
        found[name].append(public_key)
    own = alias_settings(alias).device
    if own in wanted and own_key(own).public_key not in found[own]:
        found[own].append(own_key(own).public_key)
    return dict(found)
