"""Fixtures shared by all tests."""

from __future__ import annotations

import pytest

LAPTOPS = ["default", "laptop_pg"]
SERVERS = ["server", "server_pg"]


@pytest.fixture(params=LAPTOPS, ids=["sqlite", "postgresql"])
def laptop(request: pytest.FixtureRequest) -> str:
    """The database alias of a laptop, once on SQLite and once on PostgreSQL."""
    return str(request.param)


@pytest.fixture(params=SERVERS, ids=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> str:
    """The database alias of a server, once on SQLite and once on PostgreSQL."""
    return str(request.param)
