"""System checks of how this installation is reached: by which addresses, and through how many proxies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, register
from django.core.checks import Warning as CheckWarning
from rest_framework.settings import api_settings

from sync_api.conf import addresses


@register()
def check_addresses(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W006: where any Host header is taken, a visitor's proof says nothing about the address that it dialled."""
    if settings.DEBUG or "*" not in settings.ALLOWED_HOSTS or addresses():
        return []
    return [
        CheckWarning(
            "ALLOWED_HOSTS takes any host name, so that a man in the middle can use the visits of others.",
            hint="Name the host names and addresses that devices use, in ALLOWED_HOSTS or in SYNC_ADDRESSES.",
            id="sync_api.W006",
        )
    ]


@register()
def check_proxies(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W007: behind a proxy whose number is not named, all devices share one limit of attempts."""
    if not getattr(settings, "SECURE_PROXY_SSL_HEADER", None) or api_settings.NUM_PROXIES is not None:
        return []
    return [
        CheckWarning(
            "A proxy stands before this server, and NUM_PROXIES is not set: all devices count as one address, and "
            "share one limit of attempts to enrol and to visit.",
            hint='Set NUM_PROXIES=1 (or how many there are); in a project of your own, REST_FRAMEWORK["NUM_PROXIES"].',
            id="sync_api.W007",
        )
    ]
