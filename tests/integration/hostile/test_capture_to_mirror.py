"""Odd but legal writes on a laptop read in the server's mirror as on the laptop."""

from __future__ import annotations

import json

import pytest
from django.db import connections, transaction

from sync_api.capture import sync_context
from sync_api.models import OutgoingTransaction
from tests.integration.router.test_lossless import DATABASES, carry, flushed_once
from tests.matrix.models import Person, Place, Symptom, Word

__all__ = ["flushed_once"]

pytestmark = pytest.mark.django_db(databases=DATABASES, transaction=True)


def rows(model: type, alias: str, *names: str) -> set[tuple[object, ...]]:
    return set(model.objects.using(alias).values_list(*names))  # type: ignore[attr-defined]


def mirrored(model: type, laptop: str, server: str, *names: str) -> set[tuple[object, ...]]:
    device = {"default": "laptop-1", "laptop_pg": "laptop-2"}[laptop]
    return set(model.mirror.using(server).current().for_device(device).values_list(*names))  # type: ignore[attr-defined]


def test_keys_freed_and_taken_again_in_one_unit(laptop: str, server: str) -> None:
    words = Word.objects.using(laptop)
    words.all().delete()
    words.bulk_create([Word(code=code, text=code) for code in ("a", "b", "c")])
    with transaction.atomic(using=laptop):
        words.filter(code="a").delete()
        words.create(code="a", text="again")
        words.filter(code="b").delete()
        words.filter(code="c").update(code="b")
        try:
            with transaction.atomic(using=laptop):
                words.create(code="gone", text="rolled back")
                raise ValueError
        except ValueError:
            pass
        words.create(code="gone", text="after the savepoint")
    carry(laptop, server)
    assert mirrored(Word, laptop, server, "code", "text") == rows(Word, laptop, "code", "text")


def test_conflict_clauses_and_shifted_keys(laptop: str, server: str) -> None:
    words = Word.objects.using(laptop)
    words.all().delete()
    words.bulk_create([Word(code=code, text="") for code in ("x", "X", "[", 'q"', "\\", "💧", "'", "%s", "\n")])
    words.bulk_create([Word(code="x", text="ignored"), Word(code="y", text=None)], ignore_conflicts=True)
    words.bulk_create(
        [Word(code="x", text="upserted")], update_conflicts=True, unique_fields=["code"], update_fields=["text"]
    )
    with connections[laptop].cursor() as cursor:
        table = Place._meta.db_table
        Place.objects.using(laptop).all().delete()
        Place.objects.using(laptop).bulk_create([Place(name=f"{laptop}{server}{n}") for n in range(3)])
        cursor.execute(f"UPDATE {table} SET id = id + 1000")
        cursor.execute(f"UPDATE {table} SET id = -id")
        cursor.execute("UPDATE matrix_word SET code = code || '~' WHERE code <> 'y'")
    carry(laptop, server)
    assert mirrored(Word, laptop, server, "code", "text") == rows(Word, laptop, "code", "text")
    assert mirrored(Place, laptop, server, "id", "name") == rows(Place, laptop, "id", "name")


def test_odd_names_and_reasons_and_many_to_many(laptop: str, server: str) -> None:
    user, reason = "J[o]\"h'n\n,[💧\\", 'line 1\nline 2\r\u2028[[,"]'
    with sync_context(user=user, reason=reason):
        person = Person.objects.using(laptop).create(code=f"{laptop[:7]}{server[-6:]}", note="\n[")
        symptoms = [Symptom.objects.using(laptop).create(name=f"{n} {laptop} {server}") for n in range(3)]
        person.symptoms.set(symptoms)
        person.symptoms.set(symptoms[1:])
        person.symptoms.set(symptoms[:1])
    carry(laptop, server)
    mirror = Person.mirror.using(server).get(id=person.pk, mirror_current=True)
    assert (mirror.mirror_captured_by, mirror.mirror_captured_reason) == (user, reason)
    through = Person.symptoms.through
    names = ("id", "person", "symptom")
    assert mirrored(through, laptop, server, *names) == rows(through, laptop, *names)
    assert json.loads(OutgoingTransaction.objects.using(laptop).order_by("-id")[0].payload)
