"""Every kind of write, on both databases: the right transactions, with the right payload."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.models import F

from tests.integration.capture.log import recorded, row_of, values_of
from tests.matrix.models import (
    BloodSpecimen,
    Person,
    PersonProxy,
    Place,
    PlainPlace,
    Specimen,
    Symptom,
    Word,
)

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg"])


def place(alias: str, name: str = "north", **fields: Any) -> Place:
    return Place.objects.using(alias).create(name=name, **fields)


def person(alias: str, code: str = "p1", **fields: Any) -> Person:
    return Person.objects.using(alias).create(code=code, **fields)


def execute(alias: str, sql: str, params: Any = None) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, params)


def test_insert_by_save(laptop: str) -> None:
    with recorded(laptop) as log:
        row = Place(name="north", visitors=3)
        row.save(using=laptop)

    assert log.brief() == [("I", "place", str(row.pk))]
    assert values_of(log[0]) == row_of(row) == {"id": row.pk, "name": "north", "is_open": True, "visitors": 3}


def test_update_by_save_carries_the_whole_row(laptop: str) -> None:
    row = place(laptop)
    row.visitors = 7
    with recorded(laptop) as log:
        row.save()

    assert log.brief() == [("U", "place", str(row.pk))]
    assert values_of(log[0]) == row_of(row)


def test_update_fields_carries_the_whole_row(laptop: str) -> None:
    row = place(laptop, visitors=1)
    row.visitors = 2
    row.name = "not saved"
    with recorded(laptop) as log:
        row.save(update_fields=["visitors"])

    assert values_of(log[0]) == {"id": row.pk, "name": "north", "is_open": True, "visitors": 2}


def test_save_that_changes_nothing_is_not_recorded(laptop: str) -> None:
    row = place(laptop)
    with recorded(laptop) as log:
        row.save()
        Place.objects.using(laptop).update(visitors=F("visitors"))

    assert log == []


def test_change_of_case_is_recorded(laptop: str) -> None:
    row = place(laptop, "north")
    row.name = "NORTH"
    with recorded(laptop) as log:
        row.save()

    assert values_of(log[0])["name"] == "NORTH"


def test_empty_is_not_null(laptop: str) -> None:
    word = Word.objects.using(laptop).create(code="w", text=None)
    word.text = ""
    with recorded(laptop) as log:
        word.save()
        word.text = None
        word.save()

    assert [values_of(tx)["text"] for tx in log] == ["", None]


def test_get_or_create(laptop: str) -> None:
    with recorded(laptop) as log:
        row, _ = Place.objects.using(laptop).get_or_create(name="north")
        Place.objects.using(laptop).get_or_create(name="north")

    assert log.brief() == [("I", "place", str(row.pk))]


def test_update_or_create(laptop: str) -> None:
    with recorded(laptop) as log:
        row, _ = Place.objects.using(laptop).update_or_create(name="north", defaults={"visitors": 1})
        Place.objects.using(laptop).update_or_create(name="north", defaults={"visitors": 2})

    assert log.brief() == [("I", "place", str(row.pk)), ("U", "place", str(row.pk))]
    assert values_of(log[1]) == row_of(row)


def test_queryset_update(laptop: str) -> None:
    rows = [place(laptop, name) for name in ("a", "b", "c")]
    with recorded(laptop) as log:
        Place.objects.using(laptop).filter(name__in=["a", "b"]).update(visitors=F("visitors") + 5)

    assert sorted(log.brief()) == [("U", "place", str(row.pk)) for row in rows[:2]]
    assert {values_of(tx)["visitors"] for tx in log} == {5}


def test_queryset_update_of_the_primary_key_links_old_and_new(laptop: str) -> None:
    Word.objects.using(laptop).create(code="old", text="x")
    with recorded(laptop) as log:
        Word.objects.using(laptop).filter(code="old").update(code="new", text="y")

    assert log.brief() == [("D", "word", "old"), ("I", "word", "new")]
    assert [tx.previous_pk for tx in log] == [None, "old"]
    assert values_of(log[0]) == {"code": "old", "text": "x"}
    assert values_of(log[1]) == {"code": "new", "text": "y"}
    assert log.units() == 1


def test_bulk_create(laptop: str) -> None:
    with recorded(laptop) as log:
        rows = Place.objects.using(laptop).bulk_create([Place(name=str(n)) for n in range(20)])

    assert log.brief() == [("I", "place", str(row.pk)) for row in rows]


def test_bulk_create_with_update_conflicts(laptop: str) -> None:
    old = place(laptop, "a", visitors=1)
    with recorded(laptop) as log:
        Place.objects.using(laptop).bulk_create(
            [Place(name="a", visitors=9), Place(name="b", visitors=8)],
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["visitors"],
        )

    new = Place.objects.using(laptop).get(name="b")
    assert log.brief() == [("U", "place", str(old.pk)), ("I", "place", str(new.pk))]
    assert [values_of(tx)["visitors"] for tx in log] == [9, 8]


def test_bulk_create_with_ignore_conflicts(laptop: str) -> None:
    place(laptop, "a", visitors=1)
    with recorded(laptop) as log:
        Place.objects.using(laptop).bulk_create([Place(name="a"), Place(name="b")], ignore_conflicts=True)

    assert [values_of(tx)["name"] for tx in log] == ["b"]


def test_bulk_update(laptop: str) -> None:
    rows = [place(laptop, str(n)) for n in range(5)]
    for row in rows:
        row.visitors = row.pk + 1
    with recorded(laptop) as log:
        Place.objects.using(laptop).bulk_update(rows, ["visitors"])

    assert sorted(log.brief()) == sorted(("U", "place", str(row.pk)) for row in rows)
    assert {values_of(tx)["visitors"] for tx in log} == {row.visitors for row in rows}


def test_instance_delete_carries_the_row_before(laptop: str) -> None:
    row = place(laptop, visitors=4)
    before = row_of(row)
    with recorded(laptop) as log:
        row.delete()

    assert log.brief() == [("D", "place", str(before["id"]))]
    assert values_of(log[0]) == before


def test_queryset_delete_and_raw_delete(laptop: str) -> None:
    for name in ("a", "b", "c"):
        Word.objects.using(laptop).create(code=name)
    words = Word.objects.using(laptop).all()
    with recorded(laptop) as log:
        words.filter(code="a").delete()
        words.exclude(code="a")._raw_delete(laptop)  # type: ignore[attr-defined]

    assert sorted(log.brief()) == [("D", "word", "a"), ("D", "word", "b"), ("D", "word", "c")]


def test_cascade_and_many_to_many_rows_of_the_deleted(laptop: str) -> None:
    north = place(laptop)
    someone = person(laptop, place=north)
    cough = Symptom.objects.using(laptop).create(name="cough")
    someone.symptoms.add(cough)
    with recorded(laptop) as log:
        north.delete()

    assert sorted((action, name) for action, name, _ in log.brief()) == [
        ("D", "person"),
        ("D", "person_symptoms"),
        ("D", "place"),
    ]
    assert log.units() == 1


def test_set_null_of_a_deleted_target(laptop: str) -> None:
    first = person(laptop, "p1")
    second = person(laptop, "p2", buddy=first)
    with recorded(laptop) as log:
        first.delete()

    assert [(action, key) for action, _, key in log.brief()] == [("U", second.pk.hex), ("D", log[1].tx_pk)]
    assert values_of(log[0])["buddy"] is None


def test_reverse_foreign_key_add_remove_clear(laptop: str) -> None:
    north = place(laptop)
    someone = person(laptop)
    with recorded(laptop) as log:
        north.people.add(someone)
        north.people.remove(someone)
        north.people.add(someone)
        north.people.clear()

    assert log.brief() == [("U", "person", someone.pk.hex)] * 4
    assert [values_of(tx)["place"] for tx in log] == [north.pk, None, north.pk, None]


def test_many_to_many_from_both_sides(laptop: str) -> None:
    someone = person(laptop)
    cough = Symptom.objects.using(laptop).create(name="cough")
    fever = Symptom.objects.using(laptop).create(name="fever")
    with recorded(laptop) as log:
        someone.symptoms.add(cough, fever)
        someone.symptoms.remove(cough)
        someone.symptoms.set([cough])
        someone.symptoms.clear()
        cough.people.add(someone)
        cough.people.remove(someone)
        cough.people.set([someone])
        cough.people.clear()

    assert {tx.tx_name for tx in log} == {"matrix.person_symptoms"}
    assert log.actions() == "IIDDIDIDID"
    assert values_of(log[-1])["person"] == someone.pk
    assert values_of(log[-1])["symptom"] == cough.pk


def test_direct_write_to_the_through_table(laptop: str) -> None:
    someone = person(laptop)
    cough = Symptom.objects.using(laptop).create(name="cough")
    through = Person.symptoms.through
    with recorded(laptop) as log:
        through.objects.using(laptop).create(person=someone, symptom=cough)

    assert values_of(log[0]) == row_of(through.objects.using(laptop).get())


def test_child_of_multi_table_inheritance(laptop: str) -> None:
    with recorded(laptop) as log:
        blood = BloodSpecimen.objects.using(laptop).create(name="s1", volume=1.5, group="AB")

    assert log.brief() == [("I", "specimen", str(blood.pk)), ("I", "bloodspecimen", str(blood.pk))]
    assert values_of(log[0]) == {"id": blood.pk, "name": "s1", "volume": 1.5}
    assert values_of(log[1]) == {"specimen_ptr": blood.pk, "group": "AB"}
    assert log.units() == 1


def test_parent_field_updated_through_the_child(laptop: str) -> None:
    blood = BloodSpecimen.objects.using(laptop).create(name="s1", volume=1.5, group="AB")
    with recorded(laptop) as log:
        BloodSpecimen.objects.using(laptop).update(volume=2.5)
        BloodSpecimen.objects.using(laptop).update(group="O", volume=3.5)

    assert log.brief()[0] == ("U", "specimen", str(blood.pk))
    assert sorted(name for _, name, _ in log.brief()[1:]) == ["bloodspecimen", "specimen"]
    assert row_of(Specimen.objects.using(laptop).get(pk=blood.pk))["volume"] == 3.5


def test_proxy_save_and_update(laptop: str) -> None:
    with recorded(laptop) as log:
        proxy = PersonProxy.objects.using(laptop).create(code="p9")
        PersonProxy.objects.using(laptop).update(note="by the proxy")

    assert log.brief() == [("I", "person", proxy.pk.hex), ("U", "person", proxy.pk.hex)]


def test_loaddata(laptop: str, tmp_path: Any) -> None:
    rows = [{"model": "matrix.word", "pk": code, "fields": {"text": code * 2}} for code in "ab"]
    fixture = tmp_path / "words.json"
    fixture.write_text(json.dumps(rows))
    with recorded(laptop) as log:
        call_command("loaddata", str(fixture), database=laptop, verbosity=0)

    assert log.brief() == [("I", "word", "a"), ("I", "word", "b")]


def test_raw_sql_through_django(laptop: str) -> None:
    with recorded(laptop) as log:
        execute(laptop, "INSERT INTO matrix_word (code, text) VALUES (%s, %s)", ["w", "x"])
        execute(laptop, "UPDATE matrix_word SET text = 'y'")
        execute(laptop, "DELETE FROM matrix_word")

    assert log.actions() == "IUD"


def test_insert_or_replace_records_the_row_it_removes() -> None:
    Word.objects.using("default").create(code="w", text="old")
    with recorded("default") as log:
        execute("default", "INSERT OR REPLACE INTO matrix_word (code, text) VALUES ('w', 'new')")

    assert log.brief() == [("D", "word", "w"), ("I", "word", "w")]
    assert [values_of(tx)["text"] for tx in log] == ["old", "new"]


def test_insert_or_ignore_records_only_what_was_inserted() -> None:
    Word.objects.using("default").create(code="w", text="old")
    with recorded("default") as log:
        execute("default", "INSERT OR IGNORE INTO matrix_word (code, text) VALUES ('w', 'new'), ('v', 'new')")

    assert log.brief() == [("I", "word", "v")]


def test_executemany(laptop: str) -> None:
    with recorded(laptop) as log, connections[laptop].cursor() as cursor:
        cursor.executemany("INSERT INTO matrix_word (code) VALUES (%s)", [("a",), ("b",), ("c",)])

    assert log.actions() == "III"
    assert log.units() == 1


def test_model_that_is_not_synced_is_left_alone(laptop: str) -> None:
    with recorded(laptop) as log:
        PlainPlace.objects.using(laptop).create(name="plain")

    assert log == []


def test_uuid_keys_are_32_digits(laptop: str) -> None:
    key = uuid.UUID("AABBCCDD-0011-2233-4455-66778899AABB")
    with recorded(laptop) as log:
        person(laptop, pk=key)

    assert log[0].tx_pk == "aabbccdd00112233445566778899aabb"
    assert values_of(log[0])["id"] == key
