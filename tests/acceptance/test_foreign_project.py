"""The apps in somebody else's project: its own settings, urls and app, and no `syncserver` anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

SETTINGS = """
import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "a project of its own"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "audit",
    "sync_api",
    "visits",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "sync_api.capture.middleware.SyncContextMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "clinic.urls"
STATIC_URL = "static/"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "client.sqlite3"},
    "server": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "server.sqlite3"},
}
SYNC_DATABASES = {
    "default": {"role": "client", "device": "laptop-1"},
    "server": {"role": "server", "device": "server-1"},
}
SYNC_KEY_DIR = BASE_DIR / "keys"
"""

URLS = """
from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("admin/", admin.site.urls), path("sync/", include("sync_api.urls"))]
"""

MODELS = """
import uuid

from django.db import models

from sync_api.mixins import SyncModelMixin


class VisitManager(models.Manager):
    def get_by_natural_key(self, number):
        return self.get(number=number)


class Visit(SyncModelMixin, models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.CharField(max_length=20, unique=True)
    weight_kg = models.DecimalField(max_digits=5, decimal_places=2)

    objects = VisitManager()

    def natural_key(self):
        return (self.number,)
"""

ROUND_TRIP = """
from decimal import Decimal

import django

django.setup()

from sync_api.capture import sync_context
from sync_api.models import IncomingTransaction, OutgoingTransaction
from visits.models import Visit, VisitMirror

with sync_context(user="ann"):
    visit = Visit.objects.create(number="V-1", weight_kg=Decimal("16.50"))
with sync_context(user="ann", reason="digits swapped"):
    visit.weight_kg = Decimal("61.50")
    visit.save()
OutgoingTransaction.objects.filter(is_consumed_server=False).copy_to_incoming_transaction("server")
IncomingTransaction.objects.using("server").filter(is_consumed=False).deserialize(check_hostname=False)
history = Visit.mirror.using("server").history("laptop-1", visit.pk)
assert [version.weight_kg for version in history] == [Decimal("16.50"), Decimal("61.50")]
assert [version.mirror_captured_reason for version in history] == [None, "digits swapped"]
assert Visit.mirror is VisitMirror.objects

from django.test import Client

answer = Client(SERVER_NAME="127.0.0.1").post("/sync/api/v1/batches", b"", content_type="application/octet-stream")
assert answer.status_code == 401, answer.status_code
print("round trip works")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "manage.py": (ROOT / "manage.py").read_text().replace("syncserver.settings", "clinic.settings"),
        "clinic/__init__.py": "",
        "clinic/settings.py": SETTINGS,
        "clinic/urls.py": URLS,
        "visits/__init__.py": "",
        "visits/models.py": MODELS,
        "round_trip.py": ROUND_TRIP,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def run(project: Path, *arguments: str) -> str:
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env={**environment, "PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "clinic.settings"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_foreign_project_gets_sync_and_mirrors_by_ordinary_migrations(project: Path) -> None:
    assert "Create model VisitMirror" in run(project, "manage.py", "makemigrations", "visits")
    assert "No changes detected" in run(project, "manage.py", "makemigrations", "--check")
    migration = (project / "visits" / "migrations" / "0001_initial.py").read_text()
    assert "SyncModelMixin" not in migration
    for alias in ("default", "server"):
        run(project, "manage.py", "migrate", "--verbosity", "0", "--database", alias)
    run(project, "manage.py", "check", "--fail-level", "WARNING")
    assert "round trip works" in run(project, "round_trip.py")
