"""Real commits without a whole flush after each test: only the transport's tables are emptied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connections
from django.test import TransactionTestCase

from audit.models import Device
from sync_api import models
from sync_api.capture import not_captured
from tests.conftest import LAPTOPS, SERVERS

EMPTIED = [
    *(models.UploadedOffset, models.UploadStep, models.Upload),
    *(models.ParkedRecord, models.ParkedUnit, models.Alarm, models.IncomingTransaction, models.IncomingBatch),
    *(models.Statement, models.TrustedServer, models.Recipient, models.Visit, models.PushTarget),
    *(models.FileUpload, models.FileFact, models.FileDelivery, models.StoredName, models.Content, models.ContentUse),
    *(models.CarriedBatch, models.Bundle, models.Finalization, models.UsedNonce),
    *(models.IncomingEra, models.IncomingEpoch, models.EnrolmentCode, models.DeviceCredential, Device),
    *(models.OutgoingBatch, models.OutgoingTransaction),
]


@pytest.fixture(scope="module")
def transport_emptied() -> Iterator[None]:
    """For modules whose transactional tests write to the transport's tables only. Triggers and schemas stay."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty_transport)
        yield


def empty_transport(test_case: Any) -> None:
    cache.clear()
    for alias in set(LAPTOPS + SERVERS) & set(test_case.databases):
        with not_captured("end of a test"), connections[alias].cursor() as cursor:
            for model in EMPTIED:
                cursor.execute(f'DELETE FROM "{model._meta.db_table}"')
            cursor.execute(f'DELETE FROM "{models.LocalDevice._meta.db_table}" WHERE name LIKE %s', ["test-%"])
        models.LocalDevice.objects.using(alias).update(
            head_number=0,
            head_hash="",
            sequence=0,
            sealed_until=0,
            era_ordinal=0,
            acknowledged_number=0,
            applied_number=0,
            durable_number=0,
            began={"kind": "fresh"},
            certificate=None,
        )
