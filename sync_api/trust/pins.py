"""Pinned keys: the servers that an operator chose to believe, each by its key."""

from __future__ import annotations

import logging

from django.utils import timezone

from sync_api.conf import alias_settings
from sync_api.exceptions import PinDiffers, PinInvalid, PinUnknown
from sync_api.models import TrustedServer
from sync_api.transactions import immediate
from sync_api.wire.header import DEVICE, HEX64

logger = logging.getLogger(__name__)


def pin_server(alias: str, name: str, public_key: str, *, by: str = "", replace: bool = False) -> bool:
    """Believe the server `name` by this key. Returns whether anything changed. Opens its own transaction.

    Raises PinInvalid, and PinDiffers when another key is pinned and `replace` is not given.
    """
    public_key = public_key.strip().lower()
    if not DEVICE.fullmatch(name) or not HEX64.fullmatch(public_key):
        raise PinInvalid(what="a name is 1 to 64 letters, digits, dots, hyphens or underscores; a key is 64 hex digits")
    if name == alias_settings(alias).device:
        raise PinInvalid(what=f"'{name}' is this installation itself")
    with immediate(alias):
        pins = TrustedServer.objects.using(alias).select_for_update()
        known = pins.filter(name=name).first()
        if known is not None and known.is_active and known.public_key == public_key:
            return False
        if known is not None and known.is_active and not replace:
            raise PinDiffers(name=name)
        facts = {"public_key": public_key, "pinned_at": timezone.now(), "pinned_by": by, "is_active": True}
        TrustedServer.objects.using(alias).update_or_create(name=name, defaults=facts)
    logger.info("server pinned", extra={"server": name, "pinned_by": by, "replaced": known is not None})
    return True


def unpin_server(alias: str, name: str) -> None:
    """Believe it no longer; the row stays as a record. Opens its own transaction. Raises PinUnknown."""
    if not TrustedServer.objects.using(alias).filter(name=name, is_active=True).update(is_active=False):
        raise PinUnknown(name=name)
    logger.info("server unpinned", extra={"server": name})
