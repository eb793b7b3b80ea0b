"""Moving chosen records off: they and what is part of them leave, the era goes on."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from sync_api.capture.reconcile import reconcile_capture
from sync_api.exceptions import FinalizationOpen, MarkNotReadable, RecordNameInvalid, RecordsReferredTo
from sync_api.finalizing.drive import abandon
from sync_api.finalizing.marking import mark
from sync_api.models import Finalization, IncomingEra, OutgoingBatch, OutgoingTransaction
from sync_api.recipients.book import add_recipient
from sync_api.recipients.own import own_key
from sync_api.wire.format import decode
from sync_api.wire.marks import MARK_LABEL
from tests.integration.finalizing.day import LINKS, NOW, Day
from tests.matrix.models import BloodSpecimen, Person, Place, Specimen, Word

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True)


def test_chosen_records_leave_with_what_is_part_of_them(day: Day) -> None:
    made = day.make()
    other = day.make("b")
    held = day.here()
    done = day.finalize(
        f"matrix.Person:{made['first'].pk}",
        f"matrix.person:{made['second'].pk.hex}",
        f"matrix.BloodSpecimen:{made['blood'].pk}",
    )
    assert done.wiped == {
        "matrix.person": {"removed": 2, "kept": 0},
        "matrix.person_symptoms": {"removed": 2, "kept": 0},
        "matrix.specimen": {"removed": 1, "kept": 0},
        "matrix.bloodspecimen": {"removed": 1, "kept": 0},
    }
    assert sum(day.here().values()) == sum(held.values()) - 6
    assert Person.objects.using(day.laptop).filter(pk=other["first"].pk).exists()
    assert day.local().era_ordinal == 0
    era = IncomingEra.objects.using(day.server).get()
    assert era.era == NOW
    moved = (era.preserved or [])[0]["era"]
    assert day.eras() == {NOW, moved}
    assert set(day.current(Person, moved).values_list("code", flat=True)) == {"1a", "2a"}
    assert day.current(LINKS, moved).count() == 2
    assert day.current(Place, moved).count() == 0
    assert reconcile_capture(day.laptop, reason="after the move") == {}
    assert not OutgoingTransaction.objects.using(day.laptop).filter(action="D").exists()


def test_after_moves_the_whole_era_ends_as_ever(day: Day) -> None:
    day.make()
    day.finalize("matrix.Word:a")
    Word.objects.using(day.laptop).create(code="a", text="another")
    day.finalize("matrix.Word:a")
    Word.objects.using(day.laptop).create(code="a", text="a third")
    day.carry()
    before = day.as_of(day.moment())
    assert set(day.current(Word).values_list("text", flat=True)) == {"one", "another", "a third"}
    done = day.finalize()
    assert len(done.manifest["moved"]) == 2
    assert day.here() == {}
    assert day.current(Word).count() == 3
    assert day.as_of(day.moment()) == before
    assert NOW not in day.eras()


def test_the_keys_of_chosen_records_of_sealed_models_are_sealed(day: Day, settings: Any) -> None:
    """Nobody who carries the batches reads which records left, and the wiped laptop no longer knows."""
    home = day.local().server_name
    settings.SYNC_SEALED_MODELS = {"matrix.word": [home, "inspector-1"], "matrix.specimen": [home]}
    for name in (home, "inspector-1"):
        add_recipient(day.laptop, name, own_key(name).public_key)
    day.make("secretkey")
    day.finalize("matrix.Word:secretkey")
    batches = OutgoingBatch.objects.using(day.laptop).order_by("id")
    carried = [decode(bytes(batch.content)) for batch in batches]
    marked = carried[-1]
    assert marked.header["models"][-1]["label"] == MARK_LABEL
    assert len(marked.header["models"]) - 1 in marked.header["sealed"][-1]["models"]
    assert not any(b"secretkey" in line for line in marked.lines if b'"P"' in line)
    moved = (IncomingEra.objects.using(day.server).get().preserved or [])[0]["era"]
    assert list(day.current(Word, moved).values_list("code", flat=True)) == ["secretkey"]
    settings.SYNC_SEALED_MODELS = {label: [home] for label in ("matrix.word", "matrix.specimen", "matrix.person")}
    day.finalize()
    assert "secretkey" not in str(list(Finalization.objects.using(day.laptop).values_list("manifest", flat=True)))
    marks = OutgoingTransaction.objects.using(day.laptop).filter(action="P", tx_name=MARK_LABEL)
    assert "secretkey" not in str(list(marks.values_list("payload", flat=True)))


def test_records_that_nobody_may_all_read_are_not_moved_off_together(day: Day, settings: Any) -> None:
    made = day.make()
    settings.SYNC_SEALED_MODELS = {"matrix.word": ["inspector-1"], "matrix.place": ["inspector-2"]}
    place = Place.objects.using(day.laptop).create(name="alone")
    with pytest.raises(MarkNotReadable, match=r"matrix\.place, matrix\.word"):
        mark(day.laptop, records=[f"matrix.Word:{made['word'].pk}", f"matrix.Place:{place.pk}"])
    assert not Finalization.objects.using(day.laptop).exists()


def test_what_others_refer_to_does_not_leave(day: Day) -> None:
    made = day.make()
    with pytest.raises(RecordsReferredTo, match=r"matrix\.person .* refers to matrix\.place"):
        mark(day.laptop, records=[f"matrix.Place:{made['place'].pk}"])
    with pytest.raises(RecordsReferredTo, match=r"person_symptoms"):
        mark(day.laptop, records=[f"matrix.Symptom:{made['symptoms'][0].pk}"])
    with pytest.raises(RecordsReferredTo):
        mark(day.laptop, records=[f"matrix.Person:{made['first'].pk}"])
    assert not Finalization.objects.using(day.laptop).exists()


def test_a_reference_made_since_keeps_the_record_and_the_era_knows_it(day: Day) -> None:
    day.make()
    place = Place.objects.using(day.laptop).create(name="left behind")
    mark(day.laptop, records=[f"matrix.Place:{place.pk}"])
    Person.objects.using(day.laptop).create(code="new", place=place)
    done = day.finalize(resume=True)
    assert done.wiped == {"matrix.place": {"removed": 0, "kept": 1}}
    day.carry()
    assert day.parked() == []
    assert set(day.current(Place).values_list("mirror_era", flat=True)) == {NOW}
    day.finalize()
    assert day.here() == {}


def test_a_record_changed_since_stays_and_goes_on(day: Day) -> None:
    made = day.make()
    mark(day.laptop, records=["matrix.Word:a", f"matrix.Specimen:{made['blood'].pk}"])
    Word.objects.using(day.laptop).update(text="two")
    BloodSpecimen.objects.using(day.laptop).update(group="AB")
    done = day.finalize(resume=True)
    assert done.wiped == {
        label: {"removed": 0, "kept": 1} for label in ("matrix.word", "matrix.specimen", "matrix.bloodspecimen")
    }
    day.carry()
    assert set(day.current(Word).values_list("mirror_era", "text")) == {(NOW, "two")}
    assert set(day.current(BloodSpecimen).values_list("mirror_era", "group")) == {(NOW, "AB")}
    assert set(day.current(Specimen).values_list("mirror_era", flat=True)) == {NOW}
    day.finalize()
    assert day.here() == {}


def test_given_up_after_it_was_preserved_the_whole_mark_still_fits(day: Day) -> None:
    day.make()
    mark(day.laptop, records=["matrix.Word:a"])
    day.carry()
    abandon(day.laptop)
    assert day.finalize().manifest["moved"] == []
    assert day.here() == {}
    assert day.current(Word).count() == 1


@pytest.mark.parametrize("name", ["matrix.Word", "matrix.Word:nobody", "Word:a", "no.Model:1", "matrix.Place:x", ":"])
def test_names_that_choose_nothing_are_refused(day: Day, name: str) -> None:
    day.make()
    with pytest.raises(RecordNameInvalid, match="Nothing was marked"):
        mark(day.laptop, records=[name])


def test_one_finalization_at_a_time(day: Day) -> None:
    day.make()
    mark(day.laptop, records=["matrix.Word:a"])
    with pytest.raises(FinalizationOpen):
        day.finalize()
    with pytest.raises(FinalizationOpen):
        mark(day.laptop)


def test_the_command_says_what_happened(day: Day) -> None:
    def run(*options: str, **named: Any) -> str:
        out = StringIO()
        call_command("finalize", *options, database=day.laptop, wait=0, stdout=out, **named)
        return out.getvalue()

    day.make()
    with pytest.raises(CommandError, match="has not been sent yet"):
        run("--no-push", records=["matrix.Word:a"])
    with pytest.raises(CommandError, match="--resume"):
        run(resume=True, records=["matrix.Word:a"])
    day.carry()
    told = json.loads(run("--resume", "--no-push", "--json"))
    assert (told["state"], told["is_partial"], told["records"]) == ("wiped", True, 1)
    assert told["era"] in day.eras()
    assert "Everything stays" in run_abandon(day)


def run_abandon(day: Day) -> str:
    out = StringIO()
    mark(day.laptop)
    call_command("finalize", "--abandon", database=day.laptop, stdout=out)
    return out.getvalue()
