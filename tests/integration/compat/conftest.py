"""Requests of the wire reach the server under test; what a test registers is forgotten after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache

from tests.integration.registering import empty_registry


@pytest.fixture(autouse=True)
def _serves(server: str, settings: Any) -> Iterator[None]:
    settings.SYNC_SERVER_DATABASE = server
    cache.clear()
    with empty_registry():
        yield
