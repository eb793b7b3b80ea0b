"""Fixtures shared by all tests."""

from __future__ import annotations

import signal

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell that starts the tests in the background ignores it for them, and so for every process they start
    signal.signal(signal.SIGINT, signal.default_int_handler)

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
