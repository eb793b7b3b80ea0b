"""Each check by its id, on models that break one rule each."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.checks import CheckMessage
from django.db import connections, models
from django.test.utils import isolate_apps

from sync_api.capture.checks import check_model, check_settings, check_synced_models
from sync_api.exceptions import SyncError
from sync_api.mixins import SyncModelMixin


class ByCode(models.Manager[Any]):
    def get_by_natural_key(self, code: str) -> Any:
        return self.get(code=code)


class Base(SyncModelMixin, models.Model):
    code = models.CharField(max_length=20, unique=True)

    objects = ByCode()

    class Meta:
        abstract = True
        app_label = "matrix"

    def __str__(self) -> str:
        return self.code

    def natural_key(self) -> tuple[str]:
        return (self.code,)


def ids(messages: list[CheckMessage]) -> list[str | None]:
    assert all(message.hint for message in messages)
    return [message.id for message in messages]


def found(model: type[models.Model]) -> list[str | None]:
    return ids(list(check_model(model)))


def test_models_of_this_project_are_clean() -> None:
    assert check_synced_models(None) == []
    assert check_settings(None) == []


@isolate_apps("tests.matrix")
def test_natural_key_is_missing() -> None:
    class NoKey(SyncModelMixin, models.Model):
        class Meta:
            app_label = "matrix"

    class NoManager(SyncModelMixin, models.Model):
        class Meta:
            app_label = "matrix"

        def natural_key(self) -> tuple[int]:
            return (1,)

    assert found(NoKey) == ["sync_api.E001"]
    assert found(NoManager) == ["sync_api.E002"]
    with pytest.raises(SyncError, match=r"matrix\.NoKey is synced but has no natural_key\(\)\. Write"):
        NoKey().save()
    with pytest.raises(SyncError, match=r"get_by_natural_key"):
        NoManager().save()


@isolate_apps("tests.matrix")
def test_natural_key_may_be_null_or_is_not_unique() -> None:
    class Nullable(Base):
        code = models.CharField(max_length=20, unique=True, null=True)

        class Meta:
            app_label = "matrix"

    class Loose(Base):
        code = models.CharField(max_length=20)

        class Meta:
            app_label = "matrix"

    assert found(Nullable) == ["sync_api.W001"]
    assert found(Loose) == ["sync_api.W002"]


@isolate_apps("tests.matrix")
def test_reference_to_a_model_that_is_not_synced() -> None:
    class Undeclared(Base):
        by = models.ForeignKey(User, models.CASCADE)

        class Meta:
            app_label = "matrix"

    class Declared(Base):
        sync_references = {"by": ("username",)}
        by = models.ForeignKey(User, models.CASCADE)

        class Meta:
            app_label = "matrix"

    class Misnamed(Base):
        sync_references = {"by": ("login",)}
        by = models.ForeignKey(User, models.CASCADE)

        class Meta:
            app_label = "matrix"

    assert found(Undeclared) == ["sync_api.E003"]
    assert found(Declared) == []
    assert found(Misnamed) == ["sync_api.E003"]


@isolate_apps("tests.matrix")
def test_field_that_cannot_be_captured() -> None:
    class PointField(models.Field):  # type: ignore[type-arg]
        pass

    class Odd(Base):
        point = PointField()
        exact = models.DecimalField(max_digits=16, decimal_places=2)

        class Meta:
            app_label = "matrix"

    assert found(Odd) == ["sync_api.E004", "sync_api.E006"]


@isolate_apps("tests.matrix")
def test_composite_key() -> None:
    class Pair(Base):
        pk = models.CompositePrimaryKey("code", "number")
        number = models.IntegerField()

        class Meta:
            app_label = "matrix"

    assert found(Pair) == ["sync_api.E005"]


@isolate_apps("tests.matrix")
def test_unknown_reason_policy() -> None:
    class Strict(Base):
        sync_reason = "always"  # type: ignore[assignment]

        class Meta:
            app_label = "matrix"

    assert found(Strict) == ["sync_api.E007"]


@isolate_apps("tests.matrix")
def test_through_table_of_ones_own_must_be_synced() -> None:
    class Left(Base):
        rights = models.ManyToManyField("matrix.Right", through="matrix.Link")

        class Meta:
            app_label = "matrix"

    class Right(Base):
        class Meta:
            app_label = "matrix"

    class Link(models.Model):
        left = models.ForeignKey(Left, models.CASCADE)
        right = models.ForeignKey(Right, models.CASCADE)

        class Meta:
            app_label = "matrix"

        def __str__(self) -> str:
            return ""

    assert found(Left) == ["sync_api.E008"]


def test_capture_switched_off_is_warned_of_outside_debug(settings: Any) -> None:
    settings.ALLOW_MODEL_SERIALIZATION = False

    assert ids(check_settings(None)) == ["sync_api.W003"]
    settings.DEBUG = True
    assert check_settings(None) == []


def test_too_old_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connections["default"].vendor == "sqlite"
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 31, 0))

    assert ids(check_settings(None)) == ["sync_api.E009"]


def test_a_model_of_a_foreign_project_is_refused_at_start(tmp_path: Any) -> None:
    """As a study's author meets it: `manage.py check` in a project that only adds the apps."""
    app = tmp_path / "form"
    app.mkdir()
    (app / "__init__.py").write_text("")
    (app / "models.py").write_text(
        "from django.db import models\nfrom sync_api.mixins import SyncModelMixin\n\n\n"
        "class Form(SyncModelMixin, models.Model):\n    mirror = models.IntegerField()\n"
    )
    code = (
        "import django\nfrom django.conf import settings\n"
        "settings.configure(SECRET_KEY='x', DEFAULT_AUTO_FIELD='django.db.models.BigAutoField',"
        " INSTALLED_APPS=['django.contrib.auth', 'django.contrib.contenttypes', 'audit', 'sync_api', 'form'],"
        f" DATABASES={{'default': {{'ENGINE': 'django.db.backends.sqlite3', 'NAME': {str(tmp_path / 'db')!r}}}}})\n"
        "django.setup()\nfrom django.core.management import call_command\ncall_command('check')\n"
    )
    path = {"PYTHONPATH": f"{tmp_path}:{sys.path[0]}:."}
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=path)

    assert ended.returncode == 1
    assert "sync_api.E001" in ended.stderr
    assert "audit.E001" in ended.stderr
