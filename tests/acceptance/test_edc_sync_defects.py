"""The defects found in edc-sync (spec edc_sync, section 3) that concern capture, copying and consuming: none is here.

The numbers are the spec's. Relay, file and REST ones have their tests with those stations.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from audit.correct import correct
from sync_api.deserializer import consume, open_units
from sync_api.models import IncomingTransaction, OutgoingTransaction
from tests.acceptance.seed_study import Study
from tests.integration.deserializer.received import Laptop, delete, insert, update
from tests.matrix.models import Person, Place

on_servers = pytest.mark.django_db(databases=["server", "server_pg"])


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    Study(folder, files=2)
    return folder


@pytest.fixture
def study(migrated: Path, tmp_path: Path) -> Study:
    return Study(tmp_path, files=2, like=migrated)


def test_1_a_stale_transaction_replayed_does_not_overwrite_newer_data(study: Study) -> None:
    told = study.run("""
        from sync_api.inbox import accept
        from sync_api.models import OutgoingBatch
        Place.objects.using("client").create(name="clinic", visitors=1)
        carry()
        Place.objects.using("client").update(visitors=2)
        carry()
        first = OutgoingBatch.objects.using("client").order_by("number")[0]
        state = accept("server", bytes(first.content), handed_over_by=first.device.name).state
        OutgoingTransaction.objects.using("client").update(is_consumed_server=False)
        again = carry()
        answer(state=state, again=len(again), visitors=current(Place, "visitors"))
        """)
    assert told == {"state": "duplicate", "again": 0, "visitors": [[2]]}


@on_servers
def test_2_an_edit_on_the_server_is_not_lost_when_the_device_writes_later(server: str) -> None:
    laptop = Laptop(server)
    laptop.deliver([insert(Place, id=1, name="clinic", is_open=1, visitors=1)])
    consume(server)
    edit = {"values": {"visitors": 5}, "user": "office", "reason": "counted again"}
    correct(Place, device="laptop-9", key=1, using=server, **edit)
    laptop.deliver([update(Place, id=1, name="clinic", is_open=1, visitors=2)])
    consume(server)
    versions = Place.mirror.using(server).order_by("mirror_pk")
    seen = list(versions.values_list("visitors", "mirror_captured_by", "mirror_captured_reason"))
    assert seen == [(1, "ada", None), (5, "office", "counted again"), (2, "ada", None)]
    assert list(versions.values_list("mirror_current", flat=True)) == [False, False, True]


@on_servers
def test_3_the_same_natural_key_from_two_devices_stands_twice_each_as_its_own(server: str) -> None:
    for name in ("laptop-8", "laptop-9"):
        Laptop(server, name=name).deliver([insert(Place, id=1, name="clinic", is_open=1, visitors=1)])
    report = consume(server)
    assert report.total("parked") == 0
    both = Place.mirror.using(server).order_by("mirror_device__name")
    assert list(both.values_list("name", "mirror_device__name")) == [("clinic", "laptop-8"), ("clinic", "laptop-9")]


def test_4_many_to_many_add_remove_and_clear_travel_from_both_sides(study: Study) -> None:
    told = study.run("""
        person = Person.objects.using("client").create(code="P1")
        cough, fever, rash = [Symptom.objects.using("client").create(name=name) for name in ("cough", "fever", "rash")]
        through = Person.symptoms.through
        seen = []
        def look():
            carry()
            seen.append(current(through, "symptom"))
        person.symptoms.add(cough, fever); look()
        person.symptoms.remove(cough); look()
        rash.people.add(person); look()
        person.symptoms.set([cough]); look()
        cough.people.clear(); look()
        answer(seen=seen, ids=[cough.pk, fever.pk, rash.pk])
        """)
    cough, fever, rash = told["ids"]
    assert told["seen"] == [[[cough], [fever]], [[fever]], [[fever], [rash]], [[cough]], []]


def test_5_bulk_create_and_queryset_update_arrive(study: Study) -> None:
    told = study.run("""
        Place.objects.using("client").bulk_create([Place(name=f"place {n}") for n in range(50)])
        Place.objects.using("client").filter(name__endswith="7").update(visitors=7)
        Place.objects.using("client").filter(name__endswith="8").delete()
        carry()
        answer(rows=current(Place, "name", "visitors"))
        """)
    assert len(told["rows"]) == 45
    assert {visitors for name, visitors in told["rows"] if name.endswith("7")} == {7}


def test_6_a_child_table_arrives_with_its_parents_fields(study: Study) -> None:
    told = study.run("""
        tube = BloodSpecimen.objects.using("client").create(name="tube", volume=1.5, group="0+")
        tube.volume = 2.5
        tube.save()
        carry()
        answer(parent=current(Specimen, "name", "volume"), child=current(BloodSpecimen, "group"))
        """)
    assert told == {"parent": [["tube", 2.5]], "child": [["0+"]]}


def test_7_microseconds_are_kept(study: Study) -> None:
    told = study.run("""
        from datetime import datetime, timedelta, UTC
        from tests.matrix.models import Kinds
        moment = datetime(2026, 5, 1, 10, 0, 0, 1, tzinfo=UTC)
        Kinds.objects.using("client").create(datetime=moment, time=moment.time(), duration=timedelta(microseconds=1))
        carry()
        row = Kinds.mirror.using("server").get()
        captured = IncomingTransaction.objects.using("server").get().captured_at
        outgoing = OutgoingTransaction.objects.using("client").get().captured_at
        answer(datetime=row.datetime, time=row.time, duration=row.duration / timedelta(microseconds=1),
            captured=captured == outgoing == row.mirror_captured_at)
        """)
    assert told["datetime"] == "2026-05-01 10:00:00.000001+00:00"
    assert told["time"] == "10:00:00.000001"
    assert told["duration"] == 1
    assert told["captured"]


@on_servers
def test_8_and_17_applying_a_delete_closes_the_record_once_and_captures_nothing(server: str) -> None:
    row = {"id": 1, "name": "clinic", "is_open": 1, "visitors": 1}
    laptop = Laptop(server)
    laptop.deliver([insert(Place, **row)], [delete(Place, **row)])
    report = consume(server)
    assert (report.total("inserted"), report.total("deleted")) == (1, 1)
    version = Place.mirror.using(server).get()
    assert not version.mirror_current
    assert version.mirror_removed_captured_by == "ada"
    assert not OutgoingTransaction.objects.using(server).exists()
    assert IncomingTransaction.objects.using(server).filter(is_consumed=True).count() == 2


@on_servers
def test_17_what_was_not_applied_is_never_marked_as_consumed(server: str) -> None:
    Laptop(server).deliver([delete(Place, id=1, name="clinic", is_open=1, visitors=1)])
    consume(server)
    line = IncomingTransaction.objects.using(server).get()
    assert (line.is_consumed, line.is_error, line.consumed_at) == (False, True, None)
    assert line.error


def test_9_a_row_that_is_stored_has_its_transaction_even_when_what_follows_fails(study: Study) -> None:
    told = study.run("""
        from django.db import transaction
        from django.db.models.signals import post_save
        def fail(**_):
            raise ValueError("validation after the row was written")
        post_save.connect(fail, sender=Place)
        def attempt(act):
            try:
                act()
            except ValueError:
                pass
            return Place.objects.using("client").count(), OutgoingTransaction.objects.using("client").count()
        def saved_in_a_block():
            with transaction.atomic(using="client"):
                Place.objects.using("client").create(name="in a block")
        def saved_alone():
            Place.objects.using("client").create(name="alone")
        def with_connection():
            Place(name="base").save_base(using="client", raw=True)
        answer(counts=[attempt(act) for act in (saved_in_a_block, saved_alone, with_connection)])
        """)
    for rows, transactions in told["counts"]:
        assert rows == transactions


@on_servers
def test_10_a_missing_referred_record_stops_nothing_and_a_parked_one_holds_back_only_its_own(server: str) -> None:
    def person(number: int, place: int) -> dict[str, object]:
        return {"id": uuid.UUID(int=number).hex, "code": f"P{number}", "note": "", "place": place, "buddy": None}

    laptop = Laptop(server)
    laptop.deliver(
        [insert(Person, **person(1, place=404))],
        [insert(Place, id=1, name=["no", "text"], is_open=1, visitors=0)],
        [insert(Person, **person(2, place=1))],
        [insert(Person, **person(3, place=2))],
    )
    consume(server)
    assert sorted(Person.mirror.using(server).values_list("code", flat=True)) == ["P1", "P3"]
    told = open_units(server).values_list("code", "tx_name", "field")
    assert list(told) == [("wrong_value", "matrix.place", "name"), ("behind_parked", "matrix.person", "")]
    assert IncomingTransaction.objects.using(server).filter(is_error=True).exclude(error=None).count() == 2


def test_12_a_copy_cut_in_the_middle_is_completed_by_the_next_one(study: Study) -> None:
    told = study.run("""
        import os, subprocess, sys
        for number in range(10):
            Place.objects.using("client").create(name=f"place {number}")
        code = "; ".join([
            "import django", "django.setup()", "from sync_api.models import OutgoingTransaction",
            "waiting = OutgoingTransaction.objects.using('client').filter(is_consumed_server=False)",
            "waiting.copy_to_incoming_transaction('server')",
        ])
        killed = []
        for failpoint in ("seal.before_commit", "seal.after_commit", "accept.before_commit", "accept.after_commit"):
            environment = os.environ | {"SYNC_FAILPOINT": failpoint}
            killed.append(subprocess.run([sys.executable, "-c", code], env=environment).returncode)
            Place.objects.using("client").create(name=failpoint)
        applied = len(carry())
        answer(killed=killed, applied=applied, rows=len(current(Place, "name")),
            received=IncomingTransaction.objects.using("server").count())
        """)
    assert told["killed"] == [-9] * 4
    assert (told["rows"], told["received"]) == (14, 14)


def test_13_nothing_is_marked_as_consumed_that_the_server_does_not_hold(study: Study) -> None:
    told = study.run("""
        from django.db import connections
        Place.objects.using("client").create(name="clinic")
        with connections["server"].cursor() as cursor:
            cursor.execute("ALTER TABLE sync_api_incomingtransaction RENAME TO away")
        out = OutgoingTransaction.objects.using("client")
        try:
            out.filter(is_consumed_server=False).copy_to_incoming_transaction("server")
        except Exception as error:
            failed = type(error).__name__
        marked = out.filter(is_consumed_server=True).count()
        with connections["server"].cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO sync_api_incomingtransaction")
        out.filter(is_consumed_server=False).copy_to_incoming_transaction("server")
        answer(failed=failed, marked=marked, left=out.filter(is_consumed_server=False).count())
        """)
    assert told == {"failed": "OperationalError", "marked": 0, "left": 0}


def test_14_the_same_transactions_handed_over_twice_are_there_once(study: Study) -> None:
    told = study.run("""
        Place.objects.using("client").create(name="clinic")
        client = OutgoingTransaction.objects.using("client")
        for _ in range(3):
            client.update(is_consumed_server=False)
            client.filter(is_consumed_server=False).copy_to_incoming_transaction("server")
        carry()
        answer(received=IncomingTransaction.objects.using("server").count(), rows=Place.mirror.using("server").count())
        """)
    assert told == {"received": 1, "rows": 1}


@on_servers
def test_18_changes_of_one_and_the_same_moment_keep_their_order(server: str) -> None:
    laptop = Laptop(server, step=0)
    row = {"id": 1, "name": "clinic", "is_open": 1}
    laptop.deliver([insert(Place, **row, visitors=0)], *[[update(Place, **row, visitors=n)] for n in range(1, 30)])
    laptop.deliver([update(Place, **row, visitors=30)])
    consume(server)
    versions = Place.mirror.using(server).order_by("mirror_pk")
    assert list(versions.values_list("visitors", flat=True)) == list(range(31))
    assert versions.get(mirror_current=True).visitors == 30
    moment = versions.last().mirror_captured_at
    assert [row.visitors for row in Place.mirror.using(server).as_of(moment)] == [30]
