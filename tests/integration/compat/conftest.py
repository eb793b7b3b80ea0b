"""Requests of the wire reach the server under test; what a test registers is forgotten after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from django.core.cache import cache

from sync_api.uploads.registry import Registry, registry


@pytest.fixture(autouse=True)
def _serves(server: str, settings: Any) -> Iterator[None]:
    settings.SYNC_SERVER_DATABASE = server
    cache.clear()
    fresh = Registry()
    held = {one.name: getattr(registry, one.name) for one in fields(Registry)}
    for name in held:
        setattr(registry, name, getattr(fresh, name))
    yield
    for name, value in held.items():
        setattr(registry, name, value)
