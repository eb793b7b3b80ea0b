"""A laptop and its home server in one process, on two databases, emptied after each test."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import connections, transaction
from django.test import TransactionTestCase

from audit.models import Source, TableChanges
from sync_api import models
from sync_api.capture import not_captured
from sync_api.router.enrolling import enrol_locally
from tests.integration.conftest import EMPTIED
from tests.integration.finalizing.day import Day

PAIRS = {"sqlite-to-postgresql": ("default", "server_pg"), "postgresql-to-sqlite": ("laptop_pg", "server")}


@pytest.fixture(autouse=True, scope="package")
def emptied() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty)
        yield


@pytest.fixture(params=PAIRS.values(), ids=PAIRS.keys())
def day(request: pytest.FixtureRequest, settings: Any, tmp_path: Any, transactional_db: None) -> Day:
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    empty(None)  # what other modules left
    one = Day(*request.param)
    enrol_locally(one.laptop, one.local(), one.server)
    return one


def empty(test_case: Any) -> None:
    study = [m for m in apps.get_app_config("matrix").get_models(include_auto_created=True) if not m._meta.proxy]
    tables: list[Any] = [*study, models.Finalization, *EMPTIED[:-3], TableChanges, Source, *EMPTIED[-3:]]
    for alias in {alias for pair in PAIRS.values() for alias in pair}:
        with not_captured("end of a test"), transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            for model in tables:
                cursor.execute(f'DELETE FROM "{model._meta.db_table}"')
        for device in models.LocalDevice.objects.using(alias).filter(role="client"):
            new = models.LocalDevice(
                pk=device.pk,
                name=device.name,
                role=device.role,
                epoch=secrets.token_hex(16),
                began={"kind": "fresh"},
                baselines=device.baselines,
            )
            new.save(using=alias)
