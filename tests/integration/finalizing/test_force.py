"""A laptop that is lost: its records are preserved by force, and what still arrives of its era joins them."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from audit.models import Source, TableChanges
from sync_api.deserializer import consume
from sync_api.deserializer.decode import model_decoder
from sync_api.finalizing.forcing import force_finalize
from sync_api.finalizing.marking import mark
from sync_api.inbox import accept
from sync_api.models import IncomingBatch, IncomingEpoch, IncomingEra, IncomingTransaction, OutgoingBatch
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


def test_a_later_change_waits_for_what_is_parked_of_the_forced_era(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would end the preserved version, and the parked change could never be applied."""
    Word.objects.using(day.laptop).create(code="a", text="one")
    day.carry()
    monkeypatch.setattr(Word, "min_client_version", "99.0.0", raising=False)
    model_decoder.cache_clear()
    Word.objects.using(day.laptop).update(text="two")
    day.carry()
    force_finalize(day.server, day.name, reason="lost")
    mark(day.laptop)
    Word.objects.using(day.laptop).update(text="three")
    day.send()
    monkeypatch.setattr(Word, "min_client_version", "0.0.0", raising=False)
    model_decoder.cache_clear()
    consume(day.server, retry=False)
    assert day.current(Word).get().text == "one"
    day.consume()
    assert day.parked() == []
    versions = Word.mirror.using(day.server).order_by("mirror_pk")
    assert list(versions.values_list("text", "mirror_current")) == [("one", False), ("two", False), ("three", True)]


def test_an_era_that_is_not_consumed_yet_has_keys_of_its_own(day: Day) -> None:
    """The server was restored after the wipe, and the laptop lost, before what it sent again was consumed."""
    Word.objects.using(day.laptop).create(code="a", text="one")
    day.finalize()
    Word.objects.using(day.laptop).create(code="a", text="again")
    day.send()
    forget_device(day.server)
    for batch in OutgoingBatch.objects.using(day.laptop).order_by("id"):
        accept(day.server, bytes(batch.content), handed_over_by=day.name)
    force_finalize(day.server, day.name, reason="lost")
    day.consume()
    assert day.parked() == []
    assert set(day.current(Word).values_list("text", flat=True)) == {"one", "again"}
    assert len(day.eras() - {NOW}) == 2


def forget_device(server: str) -> None:
    """Restore the server from a backup without the device's records."""
    Word.mirror.using(server).all()._raw_delete(server)
    for model in (IncomingTransaction, IncomingBatch, IncomingEra, IncomingEpoch, TableChanges, Source):
        model.objects.using(server).all().delete()
