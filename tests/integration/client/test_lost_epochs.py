"""A server restored from a backup that lacks the end of an earlier epoch, or all of it: nothing of it is shut out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync_api import exceptions as errors
from sync_api.client import enrol, push
from sync_api.conf import alias_settings
from sync_api.enrolment.registration import add_device
from sync_api.inbox import accept
from sync_api.models import IncomingEpoch, IncomingTransaction, LocalDevice, OutgoingBatch
from tests.integration.client.road import Road
from tests.integration.client.test_push import reset
from tests.integration.field import captured

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
URL = "http://localhost"
TAIL = {1: 1}
ALL: dict[int, int] = {}


@pytest.fixture
def name(laptop: str, server: str, settings: Any, tmp_path: Path) -> Iterator[str]:
    settings.SYNC_SERVER_DATABASE = server
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    settings.SYNC_BATCH_LINES = 4
    reset(laptop)
    name = alias_settings(laptop).device
    enrol_again(laptop, server, name)
    yield name
    reset(laptop)


def enrol_again(laptop: str, server: str, name: str) -> None:
    enrol(laptop, URL, add_device(server, name).code, transport=Road())
    LocalDevice.objects.using(laptop).filter(name=name).update(baselines={})


def restore(server: str, kept: dict[int, int]) -> None:
    """Keep of each epoch (its ordinal) the batches up to that number."""
    for epoch in IncomingEpoch.objects.using(server).order_by("-ordinal"):
        number = kept.get(epoch.ordinal, 0)
        lost = epoch.batches.filter(number__gt=number)
        IncomingTransaction.objects.using(server).filter(batch__in=lost).delete()
        lost.delete()
        if not number:
            epoch.delete()
            continue
        last = IncomingTransaction.objects.using(server).filter(batch__epoch=epoch).latest("id")
        epoch.head_number, epoch.head_hash = number, last.batch.hash
        epoch.sequence, epoch.effective_at = last.sequence, last.effective_at
        epoch.save(using=server)


def arrived(server: str) -> list[str]:
    rows = IncomingTransaction.objects.using(server).order_by("batch__epoch__ordinal", "sequence")
    return list(rows.values_list("tx_pk", flat=True))


@pytest.mark.parametrize("kept", [TAIL, ALL], ids=["tail", "all"])
def test_a_new_epoch_does_not_shut_out_what_the_server_lost(
    laptop: str, server: str, name: str, kept: dict[int, int]
) -> None:
    rows = captured(laptop, name, [1] * 12)
    push(laptop, transport=Road())
    restore(server, kept)
    enrol_again(laptop, server, name)
    rows += captured(laptop, name, [1], first_unit=50)
    push(laptop, transport=Road())
    assert arrived(server) == [row.tx_pk for row in rows]


@pytest.mark.parametrize("kept", [TAIL, ALL], ids=["tail", "all"])
def test_a_lost_epoch_comes_after_what_was_lost_before_it(
    laptop: str, server: str, name: str, kept: dict[int, int]
) -> None:
    rows = captured(laptop, name, [1] * 12)
    push(laptop, transport=Road())
    enrol_again(laptop, server, name)
    rows += captured(laptop, name, [1], first_unit=50)
    push(laptop, transport=Road())
    restore(server, kept)
    rows += captured(laptop, name, [1], first_unit=60)
    push(laptop, transport=Road())
    push(laptop, transport=Road())
    assert arrived(server) == [row.tx_pk for row in rows]
    epochs = IncomingEpoch.objects.using(server).order_by("ordinal")
    assert [epoch.began["kind"] for epoch in epochs] == ["fresh", "continues"]


def test_another_road_cannot_begin_an_epoch_before_the_one_it_continues_is_whole(
    laptop: str, server: str, name: str
) -> None:
    rows = captured(laptop, name, [1] * 12)
    push(laptop, transport=Road())
    enrol_again(laptop, server, name)
    rows += captured(laptop, name, [1], first_unit=50)
    push(laptop, transport=Road())
    contents = [bytes(batch.content) for batch in OutgoingBatch.objects.using(laptop).order_by("id")]
    restore(server, TAIL)
    with pytest.raises(errors.EpochUnknown, match="missing batches"):
        accept(server, contents[-1], handed_over_by=name)
    for content in contents:
        accept(server, content, handed_over_by=name)
    assert arrived(server) == [row.tx_pk for row in rows]
