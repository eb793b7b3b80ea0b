"""Real commits without a whole flush after each test: only what these tests write to is emptied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import connections
from django.test import TransactionTestCase

from sync_api.capture import not_captured
from sync_api.models import OutgoingTransaction
from tests.conftest import LAPTOPS


@pytest.fixture(scope="module")
def quick_flush() -> Iterator[None]:
    """Transactional tests of the module empty the tables of tests.matrix and the captured log, and nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty_laptops)
        yield


def empty_laptops(test_case: Any) -> None:
    models = [m for m in apps.get_app_config("matrix").get_models(include_auto_created=True) if not m._meta.proxy]
    tables = [f'"{model._meta.db_table}"' for model in [*models, OutgoingTransaction]]
    for alias in LAPTOPS:
        connection = connections[alias]
        with not_captured("end of a test"), connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute(f"TRUNCATE {', '.join(tables)} CASCADE")
                continue
            cursor.execute("PRAGMA foreign_keys=OFF")
            for table in tables:
                cursor.execute(f"DELETE FROM {table}")
            cursor.execute("PRAGMA foreign_keys=ON")
