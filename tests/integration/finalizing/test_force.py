"""A laptop that is lost: its records are preserved by force, and what still arrives of its era joins them."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from audit.models import TableChanges
from sync_api.deserializer.decode import model_decoder
from sync_api.finalizing.forcing import force_finalize
from sync_api.models import IncomingEra
from tests.integration.finalizing.day import NOW, Day
from tests.matrix.models import Person, Word

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True)


def test_records_are_preserved_by_force_and_the_reason_is_kept(day: Day) -> None:
    day.make()
    day.carry()
    before = day.as_of(day.moment())
    out = StringIO()
    call_command("force_finalize", day.name, reason="stolen", database=day.server, json=True, stdout=out)
    told = json.loads(out.getvalue())
    assert told["records"]["matrix.person"] == 2
    assert day.eras() == {told["era"]}
    assert day.as_of(day.moment()) == before
    assert set(Word.mirror.using(day.server).values_list("mirror_forcibly_preserved", flat=True)) == {True}
    era = IncomingEra.objects.using(day.server).get()
    (kept,) = era.preserved or []
    assert (kept["reason"], kept["era"], kept["count"]) == ("stolen", told["era"], sum(told["records"].values()))
    assert TableChanges.objects.using(day.server).filter(model="matrix.person", preserved=2).exists()


def test_what_arrives_later_of_that_era_lands_in_it(day: Day) -> None:
    day.make()
    day.carry()
    Word.objects.using(day.laptop).filter(code="a").update(text="two")
    Word.objects.using(day.laptop).create(code="late")
    day.send()
    forced = force_finalize(day.server, day.name, reason="lost in the river")
    Person.objects.using(day.laptop).filter(code="1a").update(note="found again")
    day.carry()
    assert day.parked() == []
    assert day.eras() == {forced.era}
    assert set(day.current(Word).values_list("code", "text")) == {("a", "two"), ("late", None)}
    assert day.current(Person).count() == 2

    done = day.finalize()
    assert (done.receipt or {})["preserved"][-1]["era"] == forced.era
    assert day.here() == {}
    Word.objects.using(day.laptop).create(code="next era")
    day.carry()
    assert day.current(Word).get(code="next era").mirror_era == NOW


def test_a_parked_unit_of_that_era_is_released_into_it(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Word, "min_client_version", "99.0.0", raising=False)
    model_decoder.cache_clear()
    day.make()
    day.carry()
    forced = force_finalize(day.server, day.name, reason="lost")
    assert len(day.parked()) == 1
    monkeypatch.setattr(Word, "min_client_version", "0.0.0", raising=False)
    model_decoder.cache_clear()
    day.consume()
    assert day.parked() == []
    assert day.current(Word).get().mirror_era == forced.era


def test_after_a_mark_the_next_era_is_the_one_that_ends(day: Day) -> None:
    day.make()
    day.finalize()
    (preserved,) = day.eras()
    assert force_finalize(day.server, day.name, reason="lost on the way home").records == {}
    Word.objects.using(day.laptop).create(code="late")
    day.carry()
    late = day.current(Word).get(code="late")
    assert late.mirror_era not in (NOW, preserved)


@pytest.mark.parametrize(("name", "reason"), [("nobody", "lost"), ("", " ")])
def test_without_a_device_or_a_reason_nothing_happens(day: Day, name: str, reason: str) -> None:
    day.make()
    day.carry()
    with pytest.raises(CommandError):
        call_command("force_finalize", name or day.name, reason=reason, database=day.server)
    assert day.eras() == {NOW}
