"""Finalizing everything: preserved on the server, gone from the laptop, and every past state reads the same."""

from __future__ import annotations

from datetime import datetime

import pytest

from sync_api.capture.reconcile import reconcile_capture
from sync_api.exceptions import (
    FinalizationMissing,
    FinalizationWaits,
    NothingToFinalize,
)
from sync_api.finalizing.drive import abandon
from sync_api.finalizing.marking import mark
from sync_api.finalizing.wiping import wipe
from sync_api.models import Finalization, IncomingEra, OutgoingBatch, OutgoingTransaction
from tests.integration.finalizing.day import LINKS, NOW, Day
from tests.matrix.models import BloodSpecimen, Person, Place, PlainPlace, Specimen, Symptom, Word

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True)


def test_everything_is_preserved_and_then_gone_from_the_laptop(day: Day) -> None:
    day.make()
    Word.objects.using(day.laptop).filter(code="a").update(text="two")
    Word.objects.using(day.laptop).create(code="gone").delete()
    day.carry()
    held, before = day.here(), day.as_of(moment := day.moment())

    done = day.finalize(reason="the study is over")

    assert done.state == Finalization.State.WIPED
    assert day.here() == {}
    assert {label: counts["removed"] for label, counts in done.wiped.items()} == held
    era = IncomingEra.objects.using(day.server).get()
    assert datetime.fromisoformat(era.era).tzinfo is not None
    assert day.eras() == {era.era}
    assert (era.ordinal, era.mark_id) == (0, done.mark_id)
    assert day.as_of(moment) == before
    assert day.as_of(day.moment()) == before
    assert set(Word.mirror.using(day.server).values_list("mirror_era", flat=True)) == {era.era}
    assert not Word.mirror.using(day.server).filter(mirror_preserved_by=None).exists()


def test_the_wipe_is_not_captured_and_the_log_keeps_no_values(day: Day) -> None:
    day.make()
    done = day.finalize()
    log = OutgoingTransaction.objects.using(day.laptop)
    assert not log.filter(id__gt=done.transaction_id).exists()
    assert not log.filter(action="D").exists()
    assert not log.filter(id__lt=done.transaction_id).exclude(payload=None).exists()
    assert log.filter(payload=None).exists()
    assert OutgoingBatch.objects.using(day.laptop).count() == day.local().head_number
    assert reconcile_capture(day.laptop, reason="after the wipe") == {}


def test_the_next_era_takes_the_same_keys_again(day: Day) -> None:
    day.make()
    first = day.finalize()
    assert day.local().era_ordinal == 1
    Word.objects.using(day.laptop).create(code="a", text="another")
    Word.objects.using(day.laptop).filter(code="a").update(text="another still")
    day.carry()
    assert set(day.current(Word).values_list("mirror_era", "text")) == {
        (IncomingEra.objects.using(day.server).get(mark_id=first.mark_id).era, "one"),
        (NOW, "another still"),
    }
    second = day.finalize()
    assert day.here() == {}
    assert second.era_ordinal == 1
    assert len(day.eras()) == 2
    assert NOW not in day.eras()


def test_what_was_changed_since_the_mark_stays_whole_and_goes_on(day: Day) -> None:
    made = day.make()
    for code in ("deleted", "changed", "left"):
        Word.objects.using(day.laptop).create(code=code, text="old")
    mark(day.laptop)
    Word.objects.using(day.laptop).filter(code="changed").update(text="new")
    Word.objects.using(day.laptop).filter(code="deleted").delete()
    Word.objects.using(day.laptop).create(code="made", text="new")
    Person.objects.using(day.laptop).filter(pk=made["second"].pk).update(note="ill")
    done = day.finalize()

    assert done.wiped["matrix.word"] == {"removed": 2, "kept": 2}
    assert set(Word.objects.using(day.laptop).values_list("code", flat=True)) == {"changed", "made"}
    people = Person.objects.using(day.laptop)
    assert people.count() == 2, "the changed one, and the buddy it refers to"
    assert people.get(code="2a").symptoms.count() == 2
    assert Place.objects.using(day.laptop).count() == 1
    assert BloodSpecimen.objects.using(day.laptop).count() == 0

    day.carry()
    assert day.parked() == []
    assert set(day.current(Word).values_list("code", "text")) == {
        ("a", "one"), ("left", "old"), ("changed", "new"), ("made", "new"),
    }  # fmt: skip
    assert day.current(Person).count() == 2
    assert day.current(Person, NOW).count() == 2
    assert day.current(LINKS).count() == day.current(LINKS, NOW).count() == 2
    changed = day.current(Word).get(code="changed")
    assert Word.mirror.using(day.server).get(pk=changed.mirror_predecessor).text == "old"

    again = day.finalize()
    assert day.here() == {}
    assert again.wiped["matrix.person"] == {"removed": 2, "kept": 0}
    assert day.current(Person).count() == 2


def test_a_changed_parent_keeps_its_child_row_and_a_changed_child_its_parent(day: Day) -> None:
    made = day.make()
    other = BloodSpecimen.objects.using(day.laptop).create(name="other", volume=2, group="A")
    mark(day.laptop)
    Specimen.objects.using(day.laptop).filter(pk=made["blood"].pk).update(volume=5)
    BloodSpecimen.objects.using(day.laptop).filter(pk=other.pk).update(group="B")
    day.finalize()
    assert set(BloodSpecimen.objects.using(day.laptop).values_list("name", "volume", "group")) == {
        ("blood a", 5.0, "0"),
        ("other", 2.0, "B"),
    }
    assert reconcile_capture(day.laptop, reason="after the wipe") == {}
    day.finalize()
    assert day.here() == {}


def test_a_row_that_a_newer_one_refers_to_stays_and_is_told_again(day: Day) -> None:
    made = day.make()
    mark(day.laptop)
    Person.objects.using(day.laptop).create(code="new", place=made["place"])
    done = day.finalize()
    assert done.wiped["matrix.place"] == {"removed": 0, "kept": 1}
    told = OutgoingTransaction.objects.using(day.laptop).get(tx_name="matrix.place", id__gt=done.transaction_id)
    assert (told.action, told.is_baseline) == ("I", True)
    day.carry()
    assert day.current(Place).get().mirror_era == NOW
    Place.objects.using(day.laptop).update(visitors=7)
    day.finalize()
    assert day.here() == {}
    assert day.current(Place).get().visitors == 7
    assert Place.mirror.using(day.server).count() == 3


def test_nothing_happens_without_the_servers_word(day: Day) -> None:
    day.make()
    held = day.here()
    with pytest.raises(FinalizationWaits, match="the mark has not been sent yet"):
        day.finalize(carry=None)
    with pytest.raises(FinalizationWaits, match="its receipt has not come"):
        day.finalize(carry=day.send)
    assert day.here() == held
    assert OutgoingTransaction.objects.using(day.laptop).filter(action="P").count() == 1
    day.consume()
    day.tell()
    assert day.finalize(resume=True, carry=None).state == Finalization.State.WIPED
    with pytest.raises(FinalizationMissing):
        day.finalize(resume=True)
    with pytest.raises(NothingToFinalize):
        day.finalize()


def test_wiping_again_changes_nothing(day: Day) -> None:
    day.make()
    done = day.finalize()
    Word.objects.using(day.laptop).create(code="next")
    assert wipe(day.laptop, done).wiped == done.wiped
    assert day.here() == {"matrix.word": 1}


def test_consuming_the_mark_a_second_time_changes_nothing(day: Day) -> None:
    day.make()
    day.finalize()
    eras = list(IncomingEra.objects.using(day.server).values())
    day.consume()
    assert list(IncomingEra.objects.using(day.server).values()) == eras


def test_given_up_before_sending_it_leaves_no_trace_in_the_log(day: Day) -> None:
    day.make()
    held = day.here()
    mark(day.laptop)
    abandon(day.laptop)
    day.carry()
    assert day.received("P") == 0
    assert day.here() == held
    assert day.local().era_ordinal == 0
    day.finalize()
    assert day.here() == {}


def test_given_up_after_it_was_preserved_the_next_one_covers_everything(day: Day) -> None:
    day.make()
    mark(day.laptop)
    day.carry()
    abandon(day.laptop, reason="one more visit")
    Word.objects.using(day.laptop).filter(code="a").update(text="two")
    Word.objects.using(day.laptop).create(code="b", text="new")
    Symptom.objects.using(day.laptop).create(name="late")
    day.carry()
    assert day.parked() == []
    done = day.finalize()
    assert done.manifest["since"] == 0
    assert day.here() == {}
    assert NOW not in day.eras()
    assert set(day.current(Word).values_list("code", "text")) == {("a", "two"), ("b", "new")}
    assert day.current(Person).count() == 2


def test_rows_of_unsynced_tables_are_left_alone(day: Day) -> None:
    PlainPlace.objects.using(day.laptop).get_or_create(name="bystander")
    day.make()
    day.finalize()
    assert PlainPlace.objects.using(day.laptop).filter(name="bystander").exists()
    PlainPlace.objects.using(day.laptop).all().delete()
