"""consume_transactions and parked, as an operator uses them."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from sync_api.deserializer import open_units
from sync_api.deserializer.follow import follow
from tests.integration.deserializer.received import Laptop, insert, update
from tests.matrix.models import Place

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])


@pytest.fixture
def laptop9(server: str) -> Laptop:
    return Laptop(server)


def told(*arguments: Any, **options: Any) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def place(number: int, **values: Any) -> dict[str, Any]:
    return {"id": number, "name": f"place {number}", "is_open": 1, "visitors": 0} | values


def test_consume_transactions_says_what_it_did(laptop9: Laptop, server: str) -> None:
    laptop9.deliver([insert(Place, **place(1))], [update(Place, **place(2))])
    said = told("consume_transactions", database=server)
    assert said.startswith("Consumed 2 transactions in 1 batches: 1 inserted, 0 updated, 0 deleted.")
    assert "1 units are parked: see `parked list`." in said


def test_consume_transactions_reports_as_json(laptop9: Laptop, server: str) -> None:
    laptop9.deliver([insert(Place, **place(1))], [update(Place, **place(1))])
    report = json.loads(told("consume_transactions", database=server, json=True))
    assert (report["transactions"], report["inserted"], report["updated"], report["parked"]) == (2, 1, 1, 0)
    assert report["devices"][0]["device"] == "laptop-9"


def test_one_device_is_consumed_alone_and_an_unknown_one_is_a_users_mistake(laptop9: Laptop, server: str) -> None:
    other = Laptop(server, name="laptop-8")
    for laptop in (laptop9, other):
        laptop.deliver([insert(Place, **place(1))])
    told("consume_transactions", database=server, device="laptop-8")
    assert Place.mirror.using(server).get().mirror_device == other.device
    with pytest.raises(CommandError, match="No device 'laptop-7' is registered"):
        told("consume_transactions", database=server, device="laptop-7")
    with pytest.raises(CommandError, match="--workers is a number"):
        told("consume_transactions", database=server, workers=0)


def test_a_table_that_is_missing_stops_with_a_sentence_and_loses_nothing(laptop9: Laptop, server: str) -> None:
    laptop9.deliver([insert(Place, **place(1))])
    with connections[server].cursor() as cursor:
        cursor.execute("ALTER TABLE matrix_place_mirror RENAME TO away")
    with pytest.raises(CommandError, match=r"laptop-9: .*matrix_place_mirror.*then consume again"):
        told("consume_transactions", database=server)
    with connections[server].cursor() as cursor:
        cursor.execute("ALTER TABLE away RENAME TO matrix_place_mirror")
    assert "Consumed 1 transactions" in told("consume_transactions", database=server)


def test_parked_units_are_listed_shown_retried_and_ignored(laptop9: Laptop, server: str) -> None:
    assert told("parked", database=server).strip() == "Nothing is parked."
    laptop9.deliver([update(Place, **place(1, name="the clinic"))], [update(Place, **place(1))])
    told("consume_transactions", database=server)
    head = open_units(server)[0]

    listed = told("parked", "list", database=server)
    assert "record_missing" in listed
    assert "record_missing in matrix.place: 1 unit, 1 more behind." in listed
    assert f"(waits for {head.pk})" in told("parked", "list", cause="behind_parked", database=server)
    assert "the clinic" not in listed

    shown = json.loads(told("parked", "show", head.pk, database=server, json=True))
    assert shown["transactions"][0]["values"]["name"] == "the clinic"
    assert "name = 'the clinic'" in told("parked", "show", head.pk, database=server)

    assert "0 parked units applied, 2 are still parked." in told("parked", "retry", head.pk, database=server)
    with pytest.raises(CommandError, match="needs a reason"):
        told("parked", "ignore", head.pk, database=server)
    said = told("parked", "ignore", head.pk, database=server, reason="entered twice")
    assert f"Unit {head.pk} is ignored. 0 parked units applied, 1 are still parked." in said
    assert json.loads(told("parked", "list", database=server, json=True))[0]["code"] == "record_missing"


def test_a_users_mistakes_with_parked_are_sentences(server: str) -> None:
    with pytest.raises(CommandError, match="Say which unit"):
        told("parked", "show", database=server)
    with pytest.raises(CommandError, match="No unit 99 is parked"):
        told("parked", "retry", 99, database=server)


def test_following_consumes_what_arrives_and_tells_it(laptop9: Laptop, server: str, settings: Any) -> None:
    settings.SYNC_FOLLOW_SECONDS = 0.01
    said: list[str] = []
    laptop9.deliver([insert(Place, **place(1))])
    follow(server, tell=said.append, rounds=1)
    laptop9.deliver([update(Place, **place(1))])
    follow(server, tell=said.append, rounds=3)
    assert [sentence.split(" in ")[0] for sentence in said] == ["Consumed 1 transactions"] * 2
