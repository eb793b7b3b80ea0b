"""Consuming: what is received stands in the mirror, and what cannot be applied waits with its reason."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from sync_api.deserializer import columns, consume, ignore, open_units, retry_parked
from sync_api.deserializer.decode import model_decoder
from sync_api.models import IncomingBatch, IncomingEpoch, IncomingTransaction, ParkedUnit
from tests.integration.deserializer.received import Laptop, baseline, delete, insert, update
from tests.matrix.models import Person, Place, Symptom, Word

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])


@pytest.fixture
def laptop9(server: str) -> Laptop:
    return Laptop(server)


def key(number: int) -> str:
    return uuid.UUID(int=number).hex


def shown(server: str, model: Any, *names: str) -> list[Any]:
    return sorted(model.mirror.using(server).filter(mirror_current=True, mirror_era="NOW").values_list(*names))


def parked(server: str) -> list[tuple[str, str, str]]:
    return list(open_units(server).values_list("code", "tx_name", "tx_pk"))


def place(number: int, **values: Any) -> dict[str, Any]:
    return {"id": number, "name": f"place {number}", "is_open": 1, "visitors": 0} | values


def person(number: int, **values: Any) -> dict[str, Any]:
    return {"id": key(number), "code": f"P{number}", "note": "", "place": None, "buddy": None} | values


def test_inserts_updates_and_deletes_stand_in_the_mirror_as_they_were_made(laptop9: Laptop, server: str) -> None:
    laptop9.deliver(
        [insert(Place, **place(1)), insert(Place, **place(2))],
        [update(Place, **place(1, visitors=5))],
        [delete(Place, **place(2))],
        [insert(Person, **person(1, place=1))],
    )
    report = consume(server)
    assert shown(server, Place, "id", "visitors") == [(1, 5)]
    assert shown(server, Person, "id", "place", "mirror_captured_by") == [(uuid.UUID(key(1)), 1, "ada")]
    assert (report.total("inserted"), report.total("updated"), report.total("deleted")) == (3, 1, 1)
    assert not IncomingTransaction.objects.using(server).filter(is_consumed=False).exists()
    assert IncomingBatch.objects.using(server).get().state == "consumed"


@pytest.fixture
def buggy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that fails, in a way nobody foresaw, at every record that is not open."""

    def decoder(column: Any) -> list[Any]:
        return [{1: True}[value] for value in column]

    model_decoder.cache_clear()
    for decoders in (columns.FOR_SQLITE, columns.FOR_POSTGRESQL):
        monkeypatch.setitem(decoders, "boolean", decoder)
    yield
    model_decoder.cache_clear()


def test_a_unit_at_which_the_program_fails_is_parked_alone(
    laptop9: Laptop, server: str, buggy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop9.deliver(
        [insert(Place, **place(1))],
        [insert(Place, **place(2, is_open=0)), insert(Symptom, id=1, name="cough")],
        [insert(Person, **person(1, place=2))],
        [insert(Place, **place(3))],
    )
    laptop9.deliver([insert(Place, **place(4, is_open=0))], [insert(Symptom, id=2, name="cold")])
    report = consume(server)
    assert not any(one.error for one in report.devices)
    assert parked(server) == [
        ("failed", "matrix.place", "2"),
        ("behind_parked", "matrix.person", str(uuid.UUID(int=1).hex)),
        ("failed", "matrix.place", "4"),
    ]
    assert open_units(server)[0].next_step
    assert (shown(server, Place, "id"), shown(server, Symptom, "id")) == ([(1,), (3,)], [(2,)])
    retry_parked(server)
    assert [attempts for (attempts,) in open_units(server).values_list("attempts")] == [2, 2, 2]
    monkeypatch.undo()  # the next version
    model_decoder.cache_clear()
    assert sum(one.released for one in retry_parked(server)) == 3
    assert shown(server, Place, "id") == [(1,), (2,), (3,), (4,)]


def test_a_model_at_which_the_program_fails_keeps_no_other_waiting(
    laptop9: Laptop, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unreadable:
        def __str__(self) -> str:
            raise KeyError("version")

    model_decoder.cache_clear()
    monkeypatch.setattr(Place, "min_client_version", Unreadable(), raising=False)
    laptop9.deliver([insert(Place, **place(1))], [insert(Symptom, id=1, name="cough")])
    consume(server)
    assert parked(server) == [("failed", "matrix.place", "1")]
    assert shown(server, Symptom, "id") == [(1,)]
    model_decoder.cache_clear()


def test_consuming_again_applies_nothing(laptop9: Laptop, server: str) -> None:
    laptop9.deliver([insert(Place, **place(1))])
    consume(server)
    assert consume(server).devices == []
    assert Place.mirror.using(server).count() == 1


def test_batches_and_epochs_are_consumed_in_their_order(laptop9: Laptop, server: str) -> None:
    for visitors in range(1, 4):
        action = insert if visitors == 1 else update
        laptop9.deliver([action(Place, **place(1, visitors=visitors))])
    assert consume(server).total("batches") == 3
    assert shown(server, Place, "visitors") == [(3,)]
    assert IncomingEpoch.objects.using(server).get().consumed_number == 3


def test_a_batch_behind_a_gap_is_not_consumed(laptop9: Laptop, server: str) -> None:
    laptop9.deliver([insert(Place, **place(1))], state="early")
    laptop9.epoch.head_number = 0
    laptop9.epoch.save(using=server)
    assert consume(server).total("batches") == 0


def test_a_failing_unit_is_parked_whole_and_the_rest_goes_on(laptop9: Laptop, server: str) -> None:
    laptop9.deliver(
        [insert(Place, **place(1))],
        [insert(Place, **place(2)), update(Place, **place(99))],
        [insert(Place, **place(3))],
    )
    assert consume(server).total("parked") == 1
    assert shown(server, Place, "id") == [(1,), (3,)]
    assert parked(server) == [("record_missing", "matrix.place", "99")]
    unit = open_units(server).get()
    assert unit.next_step
    lines = IncomingTransaction.objects.using(server).filter(is_consumed=False)
    assert [(line.tx_pk, line.is_error, line.error) for line in lines] == [
        ("2", True, unit.text),
        ("99", True, unit.text),
    ]


def test_units_that_touch_or_refer_to_a_parked_record_wait_behind_it(laptop9: Laptop, server: str) -> None:
    laptop9.deliver(
        [insert(Place, **place(1, visitors="many"))],
        [insert(Person, **person(1, place=1))],
        [insert(Person, **person(2, buddy=key(1)))],
        [insert(Person, **person(3))],
    )
    laptop9.deliver([update(Place, **place(1))], [insert(Place, **place(2))])
    consume(server)
    assert [code for code, *_ in parked(server)] == ["wrong_value", *["behind_parked"] * 3]
    head = open_units(server)[0]
    assert (head.field, head.tx_pk) == ("visitors", "1")
    assert {unit.blocked_by_id for unit in open_units(server)[1:]} == {head.pk}
    assert shown(server, Person, "code") == [("P3",)]
    assert shown(server, Place, "id") == [(2,)]


def test_a_changed_key_waits_behind_its_old_key(laptop9: Laptop, server: str) -> None:
    laptop9.deliver([update(Word, code="old", text="x")])
    renamed = insert(Word, code="new", text="x")
    renamed.previous_pk = "old"
    laptop9.deliver([renamed])
    consume(server)
    assert [code for code, *_ in parked(server)] == ["record_missing", "behind_parked"]


def test_an_insert_onto_a_current_key_is_parked(laptop9: Laptop, server: str) -> None:
    laptop9.deliver([insert(Place, **place(1))], [insert(Place, **place(1, name="other"))])
    consume(server)
    assert parked(server) == [("key_in_use", "matrix.place", "1")]
    assert shown(server, Place, "name") == [("place 1",)]


def test_devices_do_not_share_keys_or_troubles(laptop9: Laptop, server: str) -> None:
    other = Laptop(server, name="laptop-8")
    laptop9.deliver([update(Place, **place(1))])
    other.deliver([insert(Place, **place(1))], [update(Place, **place(1, visitors=4))])
    consume(server)
    assert shown(server, Place, "mirror_device__name", "visitors") == [("laptop-8", 4)]
    assert open_units(server).get().device.name == "laptop-9"


def test_an_unknown_model_waits_until_it_is_deployed(laptop9: Laptop, server: str) -> None:
    described = laptop9.describe(Symptom)
    laptop9.descriptions["matrix.symptom"] = described | {"label": "matrix.feeling"}
    laptop9.deliver([insert(Symptom, id=1, name="cough")], [update(Symptom, id=1, name="fever")])
    laptop9.deliver([insert(Place, **place(1))])
    consume(server)
    assert [code for code, *_ in parked(server)] == ["unknown_model", "behind_parked"]
    assert shown(server, Place, "id") == [(1,)]

    batch = IncomingBatch.objects.using(server).order_by("number")[0]
    batch.header["models"][0]["label"] = "matrix.symptom"  # the server now knows it
    batch.save(using=server)
    report = consume(server)
    assert report.total("released") == 2
    assert shown(server, Symptom, "name") == [("fever",)]
    assert not IncomingTransaction.objects.using(server).filter(is_consumed=False).exists()
    assert not IncomingTransaction.objects.using(server).filter(is_error=True).exists()


def test_an_unknown_field_is_named(laptop9: Laptop, server: str) -> None:
    described = laptop9.describe(Place)
    described["fields"].append(["mood", "text", None])
    laptop9.descriptions["matrix.place"] = described
    laptop9.deliver([insert(Place, **place(1, mood="fine"))])
    consume(server)
    assert open_units(server).values_list("code", "field").get() == ("unknown_field", "mood")


def test_a_field_that_an_older_device_does_not_have_is_null(laptop9: Laptop, server: str) -> None:
    described = laptop9.describe(Place)
    described["fields"] = [entry for entry in described["fields"] if entry[0] != "visitors"]
    laptop9.descriptions["matrix.place"] = described
    laptop9.deliver([insert(Place, **place(1))])
    consume(server)
    assert shown(server, Place, "id", "visitors") == [(1, None)]


def test_a_client_older_than_the_model_allows_is_parked(
    laptop9: Laptop, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Place, "min_client_version", "2.0", raising=False)
    laptop9.app = "1.9.3"
    laptop9.deliver([insert(Place, **place(1))])
    laptop9.app = "2.0.1"
    laptop9.deliver([insert(Place, **place(2))])
    consume(server)
    assert parked(server) == [("client_too_old", "matrix.place", "1")]
    assert shown(server, Place, "id") == [(2,)]


def test_a_value_that_only_the_database_refuses_parks_its_unit_and_those_behind_it(
    laptop9: Laptop, server: str
) -> None:
    refuse = {
        "sqlite": "CREATE TRIGGER cursed BEFORE INSERT ON matrix_place_mirror WHEN NEW.name = 'cursed'"
        " BEGIN SELECT RAISE(ABORT, 'refused'); END",
        "postgresql": "ALTER TABLE matrix_place_mirror ADD CONSTRAINT cursed CHECK (name <> 'cursed')",
    }
    with connections[server].cursor() as cursor:
        cursor.execute(refuse[connections[server].vendor])
    units = [[insert(Place, **place(number))] for number in range(1, 40)]
    units[3] = [insert(Place, **place(4, name="cursed"))]
    units[20] = [insert(Place, **place(21, name="cursed"))]
    units[30] = [insert(Place, **place(31)), insert(Person, **person(1, place=21))]
    laptop9.deliver(*units)
    consume(server)
    assert parked(server) == [
        ("refused_by_database", "matrix.place", "4"),
        ("refused_by_database", "matrix.place", "21"),
        ("behind_parked", "matrix.place", "31"),
    ]
    assert len(shown(server, Place, "id")) == 36
    assert "cursed" not in "".join(open_units(server).values_list("text", flat=True))


def test_an_unsupported_action_is_parked(laptop9: Laptop, server: str) -> None:
    line = insert(Place, **place(1))
    line.action = "P"
    laptop9.deliver([line])
    consume(server)
    assert parked(server) == [("unsupported_action", "matrix.place", "1")]


def test_a_fresh_epoch_preserves_what_was_there_and_begins_its_keys_anew(laptop9: Laptop, server: str) -> None:
    laptop9.deliver([insert(Place, **place(1, name="old life"))], [update(Place, **place(7))])
    consume(server)
    laptop9.begin()
    laptop9.deliver([insert(Place, **place(1, name="new life"))], [insert(Place, **place(7))])
    report = consume(server)
    assert report.total("preserved") == 1
    assert shown(server, Place, "id", "name") == [(1, "new life"), (7, "place 7")]
    eras = Place.mirror.using(server).order_by("mirror_pk").values_list("name", "mirror_era")
    first = IncomingEpoch.objects.using(server).get(ordinal=1)
    assert eras[0] == ("old life", first.era)
    assert first.era != "NOW"
    assert parked(server) == [("record_missing", "matrix.place", "7")]


def test_a_parked_unit_of_an_earlier_epoch_is_applied_to_that_epochs_era(laptop9: Laptop, server: str) -> None:
    described = laptop9.describe(Symptom)
    laptop9.descriptions["matrix.symptom"] = described | {"label": "matrix.feeling"}
    laptop9.deliver([insert(Symptom, id=1, name="cough")])
    consume(server)
    laptop9.begin()
    laptop9.deliver([insert(Place, **place(1))])
    consume(server)
    batch = IncomingBatch.objects.using(server).get(epoch__ordinal=1)
    batch.header["models"][0]["label"] = "matrix.symptom"
    batch.save(using=server)
    assert consume(server).total("released") == 1
    assert shown(server, Symptom, "id") == []
    assert Symptom.mirror.using(server).get().mirror_era == IncomingEpoch.objects.using(server).get(ordinal=1).era


def test_a_continuing_epoch_skips_what_is_identical_and_parks_what_differs(laptop9: Laptop, server: str) -> None:
    laptop9.deliver([insert(Place, **place(1))], [insert(Place, **place(2))])
    consume(server)
    laptop9.begin(kind="continues", epoch=laptop9.epoch.epoch, number=1, hash="1-1")
    laptop9.deliver(
        [baseline(Place, **place(1))],
        [baseline(Place, **place(2, visitors=9))],
        [baseline(Place, **place(3))],
    )
    report = consume(server)
    assert (report.total("identical"), report.total("inserted"), report.total("preserved")) == (1, 1, 0)
    assert parked(server) == [("baseline_differs", "matrix.place", "2")]
    assert shown(server, Place, "id", "visitors") == [(1, 0), (2, 0), (3, 0)]


def test_ignoring_needs_a_reason_keeps_the_original_and_frees_the_dependants(laptop9: Laptop, server: str) -> None:
    from sync_api.exceptions import ParkedUnitUnknown, ReasonMissing

    laptop9.deliver([insert(Place, **place(1, visitors="many"))], [insert(Person, **person(1, place=1))])
    consume(server)
    head = open_units(server)[0]
    with pytest.raises(ReasonMissing):
        ignore(server, head.pk, reason="  ")
    (report,) = ignore(server, head.pk, reason="a typing error, entered again", ignored_by="ada")
    assert report.released == 1
    assert shown(server, Person, "code") == [("P1",)]
    head.refresh_from_db()
    assert (head.state, head.ignored_by) == ("ignored", "ada")
    line = IncomingTransaction.objects.using(server).get(tx_name="matrix.place")
    assert line.is_ignored
    assert not line.is_consumed
    assert "many" in line.payload
    with pytest.raises(ParkedUnitUnknown):
        ignore(server, head.pk, reason="again")


def test_a_retry_in_vain_is_counted_and_leaves_what_waits_behind_alone(laptop9: Laptop, server: str) -> None:
    laptop9.deliver([update(Place, **place(1))])
    laptop9.deliver([update(Place, **place(1, visitors=3))])
    consume(server)
    retry_parked(server)
    assert list(open_units(server).values_list("attempts", flat=True)) == [2, 1]
    assert ParkedUnit.objects.using(server).count() == 2


def test_statements_of_a_batch_do_not_depend_on_its_length(laptop9: Laptop, server: str) -> None:
    def statements(first: int, lines: int) -> int:
        people = [[insert(Person, **person(number, place=number))] for number in range(first, first + lines // 2)]
        places = [[insert(Place, **place(number))] for number in range(first, first + lines // 2)]
        laptop9.deliver(*[unit for pair in zip(places, people, strict=True) for unit in pair])
        with CaptureQueriesContext(connections[server]) as queries:
            report = consume(server)
        assert report.total("transactions") == lines
        assert report.total("parked") == 0
        return len(queries)

    statements(1, 2)  # warms what is asked once per process
    assert statements(10, 100) == statements(1_000, 5_000)
