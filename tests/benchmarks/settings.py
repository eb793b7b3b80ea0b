"""Settings of the benchmarks: a laptop and a server on SQLite and on PostgreSQL, in a temporary folder."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

os.environ.setdefault("SECRET_KEY", "benchmarks-only")

from syncserver.settings import *  # noqa: F403
from syncserver.settings import INSTALLED_APPS
from tests.postgres import postgres_database

if "BENCHMARK_FOLDER" not in os.environ:
    os.environ["BENCHMARK_FOLDER"] = tempfile.mkdtemp(prefix="syncserver-benchmarks-")
    atexit.register(shutil.rmtree, os.environ["BENCHMARK_FOLDER"], ignore_errors=True)
FOLDER = os.environ["BENCHMARK_FOLDER"]
RUN = os.environ.setdefault("BENCHMARK_RUN", str(os.getpid()))
APPS = ["simple_history", "tests.benchmarks.bench"]


def _sqlite(name: str) -> dict[str, object]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{FOLDER}/{name}.sqlite3",
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 30},
    }


def _postgres(name: str) -> dict[str, object]:
    return {**postgres_database(), "NAME": f"bench_{name}_{RUN}"}


DATABASES = {
    "default": {},
    "laptop": _sqlite("laptop"),
    "laptop_pg": _postgres("laptop"),
    "server": _sqlite("server"),
    "server_pg": _postgres("server"),
}
SYNC_DATABASES = {
    "laptop": {"role": "client", "device": "laptop-1"},
    "laptop_pg": {"role": "client", "device": "laptop-2"},
    "server": {"role": "server", "device": "server-1"},
    "server_pg": {"role": "server", "device": "server-2"},
}
SYNC_KEY_DIR = f"{FOLDER}/keys"
INSTALLED_APPS = [*INSTALLED_APPS, *APPS]
