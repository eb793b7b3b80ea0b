"""The checks of addresses and proxies, by their ids."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.settings import api_settings

from sync_api.rest.checks import check_addresses, check_proxies


@pytest.mark.parametrize(
    ("hosts", "addresses", "debug", "ids"),
    [
        (["sync.example"], [], False, []),
        (["*"], [], False, ["sync_api.W006"]),
        (["*"], ["sync.example"], False, []),
        (["*"], [], True, []),
    ],
)
def test_any_host_name_is_warned_of(
    settings: Any, hosts: list[str], addresses: list[str], debug: bool, ids: list[str]
) -> None:
    settings.ALLOWED_HOSTS, settings.SYNC_ADDRESSES, settings.DEBUG = hosts, addresses, debug
    assert [told.id for told in check_addresses(None)] == ids


@pytest.mark.parametrize(
    ("header", "proxies", "ids"),
    [
        (None, None, []),
        (("HTTP_X_FORWARDED_PROTO", "https"), None, ["sync_api.W007"]),
        (("HTTP_X_FORWARDED_PROTO", "https"), 1, []),
    ],
)
def test_a_proxy_whose_number_is_not_named_is_warned_of(
    settings: Any, header: tuple[str, str] | None, proxies: int | None, ids: list[str]
) -> None:
    settings.SECURE_PROXY_SSL_HEADER = header
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": proxies}
    assert proxies == api_settings.NUM_PROXIES
    assert [told.id for told in check_proxies(None)] == ids
