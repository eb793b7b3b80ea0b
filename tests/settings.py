"""Test settings: a laptop and a server, each on SQLite and on PostgreSQL, in one process."""

import os
import tempfile

os.environ.setdefault("SECRET_KEY", "tests-only")

from syncserver.settings import *  # noqa: F403
from syncserver.settings import INSTALLED_APPS
from tests.postgres import postgres_database

_folder = tempfile.mkdtemp(prefix="syncserver-tests-")


def _sqlite(name: str) -> dict[str, object]:
    path = f"{_folder}/{name}.sqlite3"
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 30},
        "TEST": {"NAME": f"{_folder}/test_{name}_{os.getpid()}.sqlite3", "DEPENDENCIES": []},
    }


def _postgres(name: str) -> dict[str, object]:
    return {**postgres_database(), "TEST": {"NAME": f"test_{name}_{os.getpid()}", "DEPENDENCIES": []}}


DATABASES = {
    "default": _sqlite("laptop"),
    "laptop_pg": _postgres("laptop"),
    "server": _sqlite("server"),
    "server_pg": _postgres("server"),
}
SYNC_DATABASES = {
    "default": {"role": "client", "device": "laptop-1"},
    "laptop_pg": {"role": "client", "device": "laptop-2"},
    "server": {"role": "server", "device": "server-1"},
    "server_pg": {"role": "server", "device": "server-2"},
}
ALLOWED_HOSTS = [".test", ".example", ".example.org", "localhost", "127.0.0.1", "10.0.0.1", "x", "a.org"]
SYNC_KEY_DIR = f"{_folder}/keys"
SYNC_FILES_DIR = f"{_folder}/files"
STATIC_ROOT = _folder
ALLOWED_HOSTS = ["*"]  # tests dial made-up addresses
MEDIA_ROOT = f"{_folder}/media"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INSTALLED_APPS = [*INSTALLED_APPS, "tests.mirrored", "tests.matrix", "tests.portal", "tests.camcops"]
