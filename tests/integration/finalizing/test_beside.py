"""Finalizing beside other things: writers, new epochs, upgrades, sealed payloads."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connections, transaction

from sync_api.capture.baseline import baseline
from sync_api.client.enrol import begin_epoch
from sync_api.exceptions import FinalizeInsideTransaction
from sync_api.finalizing.marking import mark
from sync_api.models import Finalization, IncomingEra, OutgoingBatch, OutgoingTransaction
from sync_api.sealing import seal
from sync_api.wire.format import decode
from tests.integration.finalizing.day import NOW, Day
from tests.matrix.models import Place, Word

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True)
WRITERS, WORDS = 3, 15


def test_a_mark_among_writers_counts_what_is_before_it_and_nothing_else(day: Day) -> None:
    day.make()
    begun = threading.Event()

    def write(number: int) -> None:
        try:
            for word in range(WORDS):
                with transaction.atomic(using=day.laptop):
                    Word.objects.using(day.laptop).create(code=f"{number}-{word}", text="made")
                    Word.objects.using(day.laptop).filter(code=f"{number}-{word}").update(text="corrected")
                    Place.objects.using(day.laptop).create(name=f"{number}-{word}")
                begun.set()
        finally:
            connections[day.laptop].close()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    begun.wait(10)
    made = mark(day.laptop)
    for writer in writers:
        writer.join()
    done = day.finalize(resume=True)
    assert done.mark_id == made.mark_id
    day.carry()
    assert day.parked() == []
    assert day.current(Word).count() == 1 + WRITERS * WORDS
    if day.here():
        day.finalize()
    assert day.here() == {}
    assert NOW not in day.eras()


def test_a_mark_is_the_last_line_of_its_eras_last_batch(day: Day, settings: Any) -> None:
    settings.SYNC_BATCH_LINES = 5
    day.make()
    mark(day.laptop)
    Word.objects.using(day.laptop).create(code="next")
    seal(day.laptop, day.name)
    batches = OutgoingBatch.objects.using(day.laptop).order_by("number")
    envelopes = [decode(bytes(content)) for content in batches.values_list("content", flat=True)]
    assert [envelope.header["era"] for envelope in envelopes] == [0] * (len(envelopes) - 1) + [1]
    marked = [b',"P",' in line for line in envelopes[-2].lines]
    assert marked == [False] * (len(marked) - 1) + [True]
    assert [len(envelope.lines) for envelope in envelopes[-1:]] == [1]


def test_a_device_is_not_finalized_inside_a_transaction(day: Day) -> None:
    day.make()
    with transaction.atomic(using=day.laptop), pytest.raises(FinalizeInsideTransaction):
        mark(day.laptop)


def test_in_a_new_epoch_everything_is_told_again_and_finalized(day: Day) -> None:
    day.make()
    day.finalize()
    day.make("b")
    day.carry()
    device = day.local()
    begin_epoch(day.laptop, device)
    device.save(using=day.laptop)
    baseline(day.laptop)
    Word.objects.using(day.laptop).update(text="in the new epoch")
    day.carry()
    assert day.parked() == []
    done = day.finalize()
    assert (done.era_ordinal, done.state) == (1, Finalization.State.WIPED)
    assert day.here() == {}
    assert NOW not in day.eras()
    assert set(day.current(Word).values_list("code", "text")) == {("a", "one"), ("b", "in the new epoch")}
    assert IncomingEra.objects.using(day.server).exclude(mark_id="").count() == 2


def test_records_kept_from_a_preserved_era_go_on_in_a_new_epoch(day: Day) -> None:
    """The mark was preserved, the laptop gave it up and enrolled again: its records are not there twice."""
    day.make()
    mark(day.laptop)
    day.carry()
    Finalization.objects.using(day.laptop).update(state=Finalization.State.ABANDONED)
    device = day.local()
    begin_epoch(day.laptop, device)
    device.save(using=day.laptop)
    baseline(day.laptop)
    day.carry()
    assert day.parked() == []
    assert set(day.current(Word).values_list("mirror_era", "text")) == {(NOW, "one")}
    day.finalize()
    assert day.here() == {}
    assert day.current(Word).count() == 1


def test_sealed_payloads_are_compared_opened_and_forgotten(day: Day, settings: Any) -> None:
    from sync_api.recipients.book import add_recipient
    from sync_api.recipients.own import own_key

    server = "server-1" if day.server == "server" else "server-2"
    add_recipient(day.laptop, server, own_key(server).public_key)
    settings.SYNC_SEALED_MODELS = {"*": [server]}
    day.make()
    done = day.finalize()
    assert day.here() == {}
    assert NOW not in day.eras()
    log = OutgoingTransaction.objects.using(day.laptop).filter(id__lt=done.transaction_id)
    assert set(log.values_list("tx_pk", "payload")) == {("", None)}
    day.make()
    day.finalize()
    assert day.here() == {}
