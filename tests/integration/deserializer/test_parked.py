"""Parked units: each has its turn, dependants follow, a dry run changes nothing, ignoring keeps who, when and why."""

from __future__ import annotations

import json
import threading
import uuid
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from audit.models import TableChanges
from sync_api.deserializer import consume, ignore, open_units, retry_parked, try_out
from sync_api.deserializer import retry as retrying
from sync_api.models import IncomingBatch, IncomingTransaction, ParkedUnit
from tests.integration.deserializer.received import Laptop, insert, update
from tests.matrix.models import Person, Place, Symptom, Word

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


def person(number: int, **values: Any) -> dict[str, Any]:
    key = uuid.UUID(int=number).hex
    return {"id": key, "code": f"P{number}", "note": "", "place": None, "buddy": None} | values


def feelings(laptop: Laptop, *numbers: int) -> None:
    """One batch each, of a model that the server does not know."""
    described = laptop.describe(Symptom)
    laptop.descriptions["matrix.symptom"] = described | {"label": "matrix.feeling"}
    for number in numbers:
        laptop.deliver([insert(Symptom, id=number, name="cough")])
    del laptop.descriptions["matrix.symptom"]


def deploy_the_model(server: str, **batches: Any) -> None:
    """What deploying the missing model does to what has arrived: its label is known now."""
    for batch in IncomingBatch.objects.using(server).filter(**batches):
        if batch.header["models"][0]["label"] == "matrix.feeling":
            batch.header["models"][0]["label"] = "matrix.symptom"
            batch.save(using=server, update_fields=["header"])


def everything(server: str) -> list[Any]:
    """All that a dry run could have changed."""
    tables = (ParkedUnit, IncomingTransaction, TableChanges, Symptom.mirror.model, Place.mirror.model)
    return [list(table._default_manager.using(server).order_by("pk").values()) for table in tables]


def test_the_end_of_an_ended_epoch_is_set_aside_and_holds_nothing_back(laptop9: Laptop, server: str) -> None:
    """What a relay brought after the restored laptop had gone on without it. Nothing of it undoes later work."""
    laptop9.deliver([insert(Place, **place(1))])
    consume(server)
    ended = laptop9.epoch
    laptop9.begin(kind="continues", epoch=ended.epoch, number=1, hash="1-1")
    laptop9.deliver([update(Place, **place(1, visitors=5))])
    consume(server)
    laptop9.epoch, later = ended, laptop9.epoch
    late = laptop9.deliver([update(Place, **place(1, visitors=2))], [insert(Place, **place(2))])
    IncomingBatch.objects.using(server).filter(pk=late.pk).update(is_late=True)
    report = consume(server)
    assert (report.total("parked"), report.devices[0].error) == (2, "")
    laptop9.epoch = later
    laptop9.deliver([update(Place, **place(1, visitors=6))], [insert(Place, **place(2, visitors=9))])
    consume(server)
    retry_parked(server)
    assert [(unit.code, unit.tx_pk) for unit in open_units(server)] == [("epoch_ended", "1"), ("epoch_ended", "2")]
    assert "later epoch" in told("parked", "list", database=server)
    shown = Place.mirror.using(server).filter(mirror_current=True, mirror_era="NOW").order_by("id")
    assert list(shown.values_list("id", "visitors")) == [(1, 6), (2, 9)]
    for unit in open_units(server):
        ignore(server, unit.pk, reason="entered again on the laptop")
    assert not open_units(server).exists()


def test_every_parked_unit_has_its_turn_however_many_are_parked(laptop9: Laptop, server: str, settings: Any) -> None:
    settings.SYNC_PARKED_RETRY_UNITS_MAX = 2
    for number in range(1, 6):
        laptop9.deliver([update(Place, **place(number))])
    feelings(laptop9, 1)
    consume(server, retry=False)
    deploy_the_model(server)
    released = [retry_parked(server)[0].released for _ in range(3)]
    assert sorted(released) == [0, 0, 1]
    assert list(open_units(server).values_list("attempts", flat=True)) == [2] * 5


def test_a_retry_stays_within_its_limit_of_units(laptop9: Laptop, server: str, settings: Any) -> None:
    settings.SYNC_PARKED_RETRY_UNITS_MAX = 3
    for number in range(1, 8):
        laptop9.deliver([update(Place, **place(number))])
    consume(server)
    retry_parked(server)
    assert sorted(open_units(server).values_list("attempts", flat=True)) == [1] * 4 + [2] * 3


def test_what_waited_follows_in_the_same_run_and_in_its_order(laptop9: Laptop, server: str) -> None:
    described = laptop9.describe(Symptom)
    laptop9.descriptions["matrix.symptom"] = described | {"label": "matrix.feeling"}
    laptop9.deliver([insert(Symptom, id=1, name="cough"), insert(Place, **place(1))])
    del laptop9.descriptions["matrix.symptom"]
    laptop9.deliver([insert(Person, **person(1, place=1))])
    laptop9.deliver([update(Person, **person(1, place=1, note="first"))])
    laptop9.deliver([update(Person, **person(1, place=1, note="second"))])
    consume(server)
    deploy_the_model(server)
    assert [report.released for report in retry_parked(server, cause="unknown_model")] == [4]
    assert not open_units(server).exists()
    assert Person.mirror.using(server).get(mirror_current=True).note == "second"


def test_what_waited_beyond_the_limit_follows_in_the_next_run(laptop9: Laptop, server: str, settings: Any) -> None:
    settings.SYNC_PARKED_RETRY_UNITS_MAX = 1
    laptop9.deliver([insert(Place, **place(1, visitors="many"))])
    for number in range(1, 4):
        laptop9.deliver([insert(Person, **person(number, place=1))])
    consume(server, retry=False)
    told("parked", "ignore", open_units(server)[0].pk, reason="not a number", user="ada", database=server)
    assert [sum(report.released for report in retry_parked(server)) for _ in range(2)] == [1, 1]
    assert not open_units(server).exists()


def test_a_unit_behind_two_causes_waits_for_both(laptop9: Laptop, server: str) -> None:
    laptop9.deliver([insert(Place, **place(1, visitors="many"))], [insert(Place, **place(2, visitors="many"))])
    laptop9.deliver([insert(Person, **person(1, place=1)), insert(Person, **person(2, place=2))])
    consume(server)
    first, second, behind = open_units(server)
    assert behind.blocked_by == first
    told("parked", "ignore", first.pk, reason="not a number", user="ada", database=server)
    behind.refresh_from_db()
    assert (behind.state, behind.blocked_by_id) == ("parked", second.pk)
    told("parked", "ignore", second.pk, reason="not a number", user="ada", database=server)
    assert not open_units(server).exists()
    assert sorted(Person.mirror.using(server).values_list("code", flat=True)) == ["P1", "P2"]


def test_a_dry_run_says_what_would_be_released_and_changes_nothing(laptop9: Laptop, server: str) -> None:
    feelings(laptop9, 1)
    laptop9.deliver([update(Place, **place(7))])
    laptop9.deliver([update(Place, **place(7, visitors=2))])
    consume(server)
    deploy_the_model(server)
    before = everything(server)
    (trial,) = try_out(server)
    assert [unit["code"] for unit in trial.would_release] == ["unknown_model"]
    assert [unit["code"] for unit in trial.would_stay] == ["record_missing", "behind_parked"]
    said = told("parked", "retry", dry_run=True, database=server)
    assert said.startswith("1 unit would be applied, 2 would stay parked. Nothing was changed.")
    facts = json.loads(told("parked", "retry", dry_run=True, json=True, database=server))
    assert (facts["dry_run"], facts["would_release"], facts["would_stay"]) == (True, 1, 2)
    assert everything(server) == before

    assert "1 parked units applied, 2 are still parked." in told("parked", "retry", database=server)


def test_a_retry_of_one_cause_or_device_leaves_the_others_alone(laptop9: Laptop, server: str) -> None:
    other = Laptop(server, name="laptop-8")
    for laptop in (laptop9, other):
        feelings(laptop, 1)
        laptop.deliver([update(Place, **place(7))])
    consume(server)
    deploy_the_model(server)
    told("parked", "retry", cause="record_missing", database=server)
    assert sorted(open_units(server).values_list("code", "attempts")) == [
        *[("record_missing", 2)] * 2,
        *[("unknown_model", 1)] * 2,
    ]
    assert "1 parked units applied" in told("parked", "retry", device="laptop-8", database=server)
    assert open_units(server).filter(code="unknown_model").get().device == laptop9.device
    assert "1 parked units applied" in told("parked", "retry", cause="unknown_model", database=server)


def test_retrying_a_unit_that_waits_tries_the_one_it_waits_for(laptop9: Laptop, server: str) -> None:
    laptop9.deliver([update(Word, code="new", text="x")])
    laptop9.deliver([update(Word, code="new", text="y")])
    laptop9.deliver([update(Word, code="other", text="x")])
    consume(server)
    waiting = open_units(server).get(code="behind_parked")
    retry_parked(server, waiting.pk)
    assert list(open_units(server).values_list("attempts", flat=True)) == [2, 1, 1]


def test_the_list_goes_by_cause_and_says_how_many_wait(laptop9: Laptop, server: str) -> None:
    units = [[insert(Place, **place(number, visitors="many"))] for number in range(1, 15)]
    laptop9.deliver(*units, [update(Place, **place(1))], [update(Place, **place(99))])
    consume(server)
    said = told("parked", "list", database=server)
    assert "wrong_value in matrix.place.visitors: 14 units, 1 more behind." in said
    assert "... and 4 more: `parked list --cause wrong_value`" in said
    assert "What to do: " in said
    assert "many" not in said
    assert said.index("wrong_value") < said.index("record_missing")
    full = told("parked", "list", cause="wrong_value", database=server)
    assert full.count("laptop-9") == 14
    facts = json.loads(told("parked", "list", json=True, database=server))
    assert [unit["waiting_behind"] for unit in facts][:2] == [1, 0]
    assert {(unit["code"], unit["field"]) for unit in facts} == {
        ("wrong_value", "visitors"),
        ("behind_parked", ""),
        ("record_missing", ""),
    }


def test_ignoring_keeps_the_original_and_who_when_and_why(laptop9: Laptop, server: str) -> None:
    laptop9.deliver([insert(Place, **place(1, visitors="many"))])
    consume(server)
    unit = open_units(server).get()
    received = IncomingTransaction.objects.using(server).values("payload", "tx_pk", "user", "captured_at").get()
    told("parked", "ignore", unit.pk, reason="entered twice", user="ada", database=server)
    shown = json.loads(told("parked", "show", unit.pk, json=True, database=server))
    assert (shown["state"], shown["ignored_by"], shown["ignored_reason"]) == ("ignored", "ada", "entered twice")
    assert shown["ended_at"]
    assert shown["transactions"][0]["values"]["visitors"] == "many"
    kept = IncomingTransaction.objects.using(server).values("payload", "tx_pk", "user", "captured_at").get()
    assert kept == received
    consume(server)
    retry_parked(server)
    assert not Place.mirror.using(server).exists()


def test_a_dry_run_is_refused_where_it_means_nothing(server: str) -> None:
    with pytest.raises(CommandError, match="parked retry"):
        told("parked", "ignore", 1, dry_run=True, reason="x", database=server)


def test_one_device_s_trouble_never_delays_another_s(laptop9: Laptop, server: str, settings: Any) -> None:
    settings.SYNC_PARKED_RETRY_UNITS_MAX = 2
    for number in range(1, 9):
        laptop9.deliver([update(Place, **place(number))])
    other = Laptop(server, name="laptop-z")
    feelings(other, 1)
    consume(server)
    deploy_the_model(server)
    other.deliver([insert(Place, **place(1))])
    report = consume(server)
    assert {part.device: part.released for part in report.devices} == {"laptop-9": 0, "laptop-z": 1}
    assert Place.mirror.using(server).get().mirror_device == other.device


def test_one_record_s_trouble_never_delays_unrelated_records(laptop9: Laptop, server: str, settings: Any) -> None:
    settings.SYNC_PARKED_RETRY_UNITS_MAX = 1
    laptop9.deliver(*[[update(Place, **place(number))] for number in range(100, 120)])
    for number in range(1, 4):
        laptop9.deliver([update(Place, **place(100))], [insert(Place, **place(number))])
        report = consume(server)
        assert report.total("inserted") == 1
    assert sorted(Place.mirror.using(server).values_list("id", flat=True)) == [1, 2, 3]


def test_a_batch_whose_retry_breaks_keeps_no_other_batch_waiting(
    laptop9: Laptop, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    feelings(laptop9, 1, 2)
    consume(server)
    deploy_the_model(server)
    first = open_units(server)[0].batch_id
    whole = retrying.parked_lines

    def broken(alias: str, batch_id: int, units: list[int]) -> Any:
        if batch_id == first:
            raise RuntimeError("damaged")
        return whole(alias, batch_id, units)

    monkeypatch.setattr(retrying, "parked_lines", broken)
    laptop9.deliver([insert(Place, **place(1))])
    report = consume(server)
    assert report.total("released") == report.total("inserted") - 1 == 1
    assert "RuntimeError" in report.errors[0]
    assert open_units(server).get().batch_id == first


@pytest.mark.django_db(databases=["server", "server_pg"], transaction=True)
def test_ignoring_waits_for_the_consumer_that_is_at_the_device(server: str) -> None:
    """Else a unit could be applied and ignored at once."""
    from sync_api.deserializer.claim import claimed

    laptop = Laptop(server, name="test-busy")
    laptop.deliver([update(Place, **place(1))])
    consume(server)
    unit = open_units(server).get()
    done = threading.Event()

    def ignore_it() -> None:
        try:
            told("parked", "ignore", unit.pk, reason="entered twice", user="ada", database=server)
        finally:
            done.set()
            connections.close_all()

    with claimed(server, laptop.device.pk):
        thread = threading.Thread(target=ignore_it)
        thread.start()
        assert not done.wait(0.3)
        assert ParkedUnit.objects.using(server).get().state == "parked"
    thread.join(30)
    assert ParkedUnit.objects.using(server).get().state == "ignored"
