"""From a laptop's database to a server's mirror, each on SQLite and on PostgreSQL: values arrive as they were."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import transaction
from django.test import TransactionTestCase

from sync_api.conf import alias_settings
from sync_api.models import IncomingTransaction, LocalDevice, OutgoingTransaction
from sync_api.wire.keys import device_keys
from tests.matrix.models import BloodSpecimen, Kinds, Signature, Specimen

DATABASES = ["default", "laptop_pg", "server", "server_pg"]

pytestmark = pytest.mark.django_db(databases=DATABASES, transaction=True)

ROWS: list[dict[str, Any]] = [
    {},
    {"char": "", "text": "", "binary": b"", "json": {}, "boolean": False, "small": 0, "float": 0.0},
    {
        "char": "Zoë 𝔘𝔫𝔦", "text": 'quotes " \\ and\nlines', "slug": "a-b", "email": "a@b.org", "url": "https://a.org",
        "small": -32768, "integer": 2**31 - 1, "big": -(2**63), "positive": 2**31 - 1, "positive_small": 32767,
        "positive_big": 2**63 - 1, "boolean": True, "float": 0.1 + 0.2, "decimal": Decimal("12345678901.2345"),
        "whole": Decimal("-999999999999999"), "date": date(9999, 12, 31), "time": time(23, 59, 59, 999999),
        "datetime": datetime(2026, 2, 28, 23, 59, 59, 1, tzinfo=UTC), "duration": timedelta(days=-3, microseconds=1),
        "binary": bytes(range(256)), "json": {"a": [1, 2.5, None, True, "𝔘"], "b": {"c": "\\u0000"}},
        "ip": "::ffff:0:1",
        "uuid": "12345678-1234-5678-1234-567812345678", "file": "files/x.txt", "path": "/tmp",
    },
    {"float": math.inf, "json": [], "date": date(1, 1, 1), "time": time(0), "datetime": datetime(1, 1, 1, tzinfo=UTC)},
    {"float": -5e-324, "decimal": Decimal("0.0001"), "json": "text", "duration": timedelta(days=36500)},
    {"float": 1.7976931348623157e308, "decimal": Decimal("-0.1"), "json": 0},
]  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def flushed_once(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Emptying four databases after each test would take most of the time: it is done once, at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _: None)
        yield
    with django_db_blocker.unblock():
        for alias in DATABASES:
            call_command("flush", verbosity=0, interactive=False, database=alias)


def carry(laptop: str, server: str) -> list[Any]:
    known = LocalDevice.objects.using(laptop).exclude(certificate=None)
    for device in known:  # enrolled by another module's test, with keys of that test's folder
        if device.certificate["public_key"] != device_keys(device.name).public_hex:
            known.filter(pk=device.pk).update(certificate=None)
    OutgoingTransaction.objects.using(laptop).filter(is_consumed_server=False).copy_to_incoming_transaction(server)
    messages = IncomingTransaction.objects.using(server).filter(is_consumed=False).deserialize(check_hostname=False)
    assert [message.error for message in messages if not message.success] == []
    return messages


def values(model: Any, alias: str, names: list[str], **conditions: Any) -> dict[Any, dict[str, Any]]:
    return {row[names[0]]: row for row in model.objects.using(alias).filter(**conditions).values(*names)}


def test_every_kind_of_value_reads_in_the_mirror_as_on_the_laptop(laptop: str, server: str) -> None:
    created = [Kinds.objects.using(laptop).create(**row).pk for row in ROWS]
    carry(laptop, server)
    names = [field.name for field in Kinds._meta.local_concrete_fields]
    on_laptop = values(Kinds, laptop, names, pk__in=created)
    assert len(on_laptop) == len(ROWS)
    assert values(Kinds.mirror.model, server, names, mirror_current=True, id__in=created) == on_laptop


def test_references_content_types_and_child_tables_arrive_as_declared(laptop: str, server: str) -> None:
    name = f"{laptop} to {server}"
    with transaction.atomic(using=laptop):
        by = User.objects.using(laptop).create(username=name)
        about = ContentType.objects.using(laptop).get(app_label="matrix", model="place")
        Signature.objects.using(laptop).create(name=name, by=by, about=about)
        tube = BloodSpecimen.objects.using(laptop).create(name=name, volume=1.5, group="0+")
    carry(laptop, server)
    signed = Signature.mirror.using(server).values_list("by", "about")
    assert signed.get(name=name) == (f'["{name}"]', "matrix.place")
    assert Specimen.mirror.using(server).values_list("id", "volume").get(name=name) == (tube.pk, 1.5)
    child = BloodSpecimen.mirror.using(server).for_device(alias_settings(laptop).device)
    assert child.values_list("group", flat=True).get(specimen_ptr=tube.pk) == "0+"
