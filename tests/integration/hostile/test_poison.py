"""One device's strange record is parked; it stops neither its device nor the others."""

from __future__ import annotations

import secrets
import uuid

import pytest

from sync_api.deserializer import consume
from sync_api.models import ParkedUnit
from tests.integration.deserializer.received import Laptop, baseline, insert
from tests.matrix.models import Kinds, Word

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])


def test_deeply_nested_json_with_nul_does_not_stop_the_consumer(server: str) -> None:
    text = "[" * 900 + '"\\u0000"' + "]" * 900
    first, second = Laptop(server, "test-a"), Laptop(server, "test-b")
    first.deliver([insert(Kinds, id=uuid.uuid4().hex, json=text)], [insert(Word, code="a", text="after")])
    second.deliver([insert(Word, code="b", text="other")])
    report = consume(server)
    assert [device.error for device in report.devices] == ["", ""] or not any(d.error for d in report.devices)
    assert set(Word.mirror.using(server).values_list("code", flat=True)) == {"a", "b"}


def test_a_key_too_long_for_an_index_is_parked(server: str) -> None:
    laptop = Laptop(server, "test-c")
    laptop.deliver([insert(Word, code=secrets.token_hex(20_000), text="long")], [insert(Word, code="c", text="after")])
    report = consume(server)
    assert not any(device.error for device in report.devices)
    assert Word.mirror.using(server).filter(code="c").exists()
    if server == "server_pg":
        assert ParkedUnit.objects.using(server).count() == 1


def test_a_baseline_of_deeply_nested_json_does_not_stop_the_consumer(server: str) -> None:
    key, text = uuid.uuid4().hex, "[" * 1015 + "]" * 1015
    laptop = Laptop(server, "test-d")
    laptop.deliver([insert(Kinds, id=key, json=text)])
    laptop.deliver([baseline(Kinds, id=key, json=f" {text}")], [insert(Word, code="d", text="after")])
    report = consume(server)
    assert not any(device.error for device in report.devices)
    assert Word.mirror.using(server).filter(code="d").exists()
