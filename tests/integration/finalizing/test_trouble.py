"""What keeps records from being preserved: parked units, differences, false receipts. Nothing is removed then."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from audit.models import Source, TableChanges
from sync_api.deserializer import consume, ignore
from sync_api.deserializer.decode import model_decoder
from sync_api.exceptions import FinalizationOpen, FinalizationWaits, PreservationUnproven
from sync_api.finalizing.drive import abandon
from sync_api.finalizing.marking import mark
from sync_api.finalizing.proof import confirm
from sync_api.finalizing.wiping import wipe
from sync_api.inbox import accept
from sync_api.models import (
    Finalization,
    IncomingBatch,
    IncomingEpoch,
    IncomingEra,
    IncomingTransaction,
    OutgoingBatch,
    ParkedUnit,
    Statement,
)
from sync_api.wire.certificates import RECEIPT, signed
from sync_api.wire.keys import DeviceKeys, device_keys
from tests.integration.finalizing.day import MODELS, NOW, Day
from tests.matrix.models import Person, Symptom, Word

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True)


@pytest.fixture
def parked_word(day: Day, monkeypatch: pytest.MonkeyPatch) -> Iterator[Day]:
    """A day on which the server does not take words yet: the study on the laptop is too old for them."""
    monkeypatch.setattr(Word, "min_client_version", "99.0.0", raising=False)
    model_decoder.cache_clear()
    day.make()
    yield day
    model_decoder.cache_clear()


def taken_again(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Word, "min_client_version", "0.0.0", raising=False)
    model_decoder.cache_clear()


def test_parked_units_keep_the_mark_waiting_and_are_listed(parked_word: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    day = parked_word
    held = day.here()
    with pytest.raises(FinalizationWaits, match="before the parked units"):
        day.finalize()
    assert day.here() == held
    word, waiting = day.parked()
    assert (word.code, waiting.code) == ("client_too_old", "era_has_parked")
    assert str(word.pk) in waiting.text
    assert waiting.blocked_by_id == word.pk
    assert day.eras() == {NOW}

    taken_again(day, monkeypatch)
    assert day.finalize(resume=True).state == Finalization.State.WIPED
    assert day.parked() == []
    assert day.here() == {}
    assert NOW not in day.eras()


def test_a_mark_that_is_released_late_takes_its_own_eras_versions(
    parked_word: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The laptop goes on while the mark waits: what it changes since belongs to the next era."""
    day = parked_word
    made = mark(day.laptop)
    day.carry()
    Person.objects.using(day.laptop).filter(code="1a").update(note="changed since")
    Symptom.objects.using(day.laptop).create(name="made since")
    Person.objects.using(day.laptop).filter(code="2a").get().symptoms.remove(Symptom.objects.using(day.laptop).first())
    Word.objects.using(day.laptop).filter(code="a").update(text="changed since")
    day.carry()
    assert day.eras() == {NOW}
    before = day.as_of(day.moment())

    taken_again(day, monkeypatch)
    day.carry()
    era = IncomingEra.objects.using(day.server).get(mark_id=made.mark_id).era
    assert day.parked() == []
    versions = Person.mirror.using(day.server).filter(code="1a").order_by("mirror_pk")
    assert list(versions.values_list("mirror_era", "note"))[-2:] == [(era, ""), (NOW, "changed since")]
    assert set(day.current(Symptom, NOW).values_list("name", flat=True)) == {"made since"}
    words = Word.mirror.using(day.server).order_by("mirror_pk")
    assert list(words.values_list("mirror_era", "text", "mirror_current")) == [
        (era, "one", False),
        (NOW, "changed since", True),
    ]
    after = day.as_of(day.moment())
    assert {name: rows for name, rows in after.items() if name != "Word"} == {
        name: rows for name, rows in before.items() if name != "Word"
    }

    day.finalize(resume=True)
    assert set(Word.objects.using(day.laptop).values_list("text", flat=True)) == {"changed since"}
    day.finalize()
    assert day.here() == {}


def test_an_ignored_unit_no_longer_keeps_the_mark_waiting(parked_word: Day) -> None:
    day = parked_word
    mark(day.laptop)
    day.carry()
    ignore(day.server, day.parked()[0].pk, reason="tried in training")
    assert day.parked() == []
    assert day.finalize(resume=True).state == Finalization.State.WIPED
    assert IncomingTransaction.objects.using(day.server).filter(tx_name="matrix.word", is_ignored=True).exists()


@pytest.mark.parametrize("spoilt", ["received", "mirror"])
def test_a_difference_keeps_everything_on_the_laptop(day: Day, spoilt: str) -> None:
    day.make()
    day.carry()
    held = day.here()
    if spoilt == "received":
        rows = IncomingTransaction.objects.using(day.server).filter(tx_name="matrix.word")
        rows.update(payload='["a","forged"]')
    else:
        Word.mirror.using(day.server).all()._raw_delete(day.server)
    with pytest.raises(FinalizationWaits, match=r"differ in matrix\.word"):
        day.finalize()
    assert [unit.code for unit in day.parked()] == ["era_differs"]
    assert "forged" not in day.parked()[0].text
    assert day.here() == held
    assert day.eras() == {NOW}
    with pytest.raises(FinalizationOpen):
        day.finalize("matrix.Word:a")


def test_after_a_difference_is_mended_a_second_mark_takes_the_place_of_the_first(day: Day) -> None:
    day.make()
    day.carry()
    IncomingTransaction.objects.using(day.server).filter(tx_name="matrix.word").update(payload='["a","forged"]')
    with pytest.raises(FinalizationWaits):
        day.finalize()
    abandon(day.laptop)
    Word.objects.using(day.laptop).update(text="told again")
    day.finalize()
    assert day.here() == {}
    assert day.parked() == []
    first = ParkedUnit.objects.using(day.server).get()
    assert (first.state, first.code) == ("ignored", "era_differs")
    assert "took its place" in first.ignored_reason
    assert NOW not in day.eras()


# --- the proof ---------------------------------------------------------------------------------------------------


def applied(day: Day) -> dict[str, Any]:
    day.tell()
    facts: dict[str, Any] = Statement.objects.using(day.laptop).get(kind="applied").facts
    return facts


@dataclass
class Forger:
    """Puts receipts with other facts, signed with some key, in the place of the true one."""

    day: Day
    made: Finalization
    receipt: dict[str, Any]

    def believed(self, keys: DeviceKeys | None = None, **other: Any) -> bool:
        facts = {name: value for name, value in {**self.receipt, **other}.items() if name != "signature"}
        receipt = signed(RECEIPT, facts, keys or device_keys(facts["signer"]))
        Statement.objects.using(self.day.laptop).filter(kind="applied").update(facts=receipt)
        return confirm(self.day.laptop, self.made)


def test_only_the_pinned_servers_word_about_this_mark_counts(day: Day) -> None:
    day.make()
    made = mark(day.laptop)
    day.send()
    day.consume()
    forger = Forger(day, made, applied(day))
    (told,) = forger.receipt["preserved"]
    assert not forger.believed(device_keys(f"stranger-{secrets.token_hex(4)}"))
    for facts in (
        {"number": 0},
        {"number": 1, "hash": secrets.token_hex(32)},
        {"epoch": secrets.token_hex(16)},
        {"device": "another"},
        {"kind": "held"},
        {"preserved": []},
        {"preserved": {}},
        {"preserved": [{**told, "mark": secrets.token_hex(16)}]},
        {"preserved": [{**told, "ok": False}]},
        {"preserved": [{**told, "ok": 1}]},
        {"preserved": [{**told, "count": told["count"] - 1}]},
        {"preserved": [{**told, "sha256": secrets.token_hex(32)}]},
    ):
        assert not forger.believed(**facts), facts
    assert made.state == Finalization.State.MARKED
    with pytest.raises(PreservationUnproven):
        wipe(day.laptop, made)
    assert forger.believed()


def test_a_stored_receipt_is_checked_once_more_before_the_wipe(day: Day) -> None:
    day.make()
    made = mark(day.laptop)
    day.carry()
    assert confirm(day.laptop, made)
    held = day.here()
    Finalization.objects.using(day.laptop).update(receipt={**(made.receipt or {}), "number": 99})
    with pytest.raises(PreservationUnproven, match="key of the server"):
        wipe(day.laptop, made)
    assert day.here() == held


def test_a_server_restored_after_the_wipe_gets_everything_again(day: Day) -> None:
    day.make()
    day.carry()
    before = day.as_of(day.moment())
    day.finalize()
    forget_everything(day)
    assert day.as_of(day.moment()) != before
    for batch in batches_of(day):
        accept(day.server, batch, day.name)
    consume(day.server)
    assert day.as_of(day.moment()) == before
    assert NOW not in day.eras()


def batches_of(day: Day) -> list[bytes]:
    rows = OutgoingBatch.objects.using(day.laptop).order_by("number")
    return [bytes(content) for content in rows.values_list("content", flat=True)]


def forget_everything(day: Day) -> None:
    """The server as it was before the laptop's first batch, its enrolments known."""
    for model in MODELS:
        model.mirror.using(day.server).all()._raw_delete(day.server)
    for table in (ParkedUnit, IncomingEra, IncomingTransaction, IncomingBatch, IncomingEpoch, TableChanges, Source):
        table._base_manager.using(day.server).all()._raw_delete(day.server)
