"""The seed's settings: `default` is empty, `client` and `server` stand on one SQLite file, or on two."""

import os

os.environ.setdefault("SECRET_KEY", "tests-only")

from syncserver.settings import *  # noqa: F403
from syncserver.settings import INSTALLED_APPS

FOLDER = os.environ["SEED_FOLDER"]
CLIENT, SERVER = ("db", "db") if os.environ["SEED_FILES"] == "1" else ("client", "server")

DATABASES = {
    "default": {},
    "client": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{FOLDER}/{CLIENT}.sqlite3"},
    "server": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{FOLDER}/{SERVER}.sqlite3"},
}
SYNC_KEY_DIR = f"{FOLDER}/keys"
INSTALLED_APPS = [*INSTALLED_APPS, "tests.matrix"]
