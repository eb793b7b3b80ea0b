"""Sealing: whole units in order, numbered and chained, the same bytes for the same rows."""

from __future__ import annotations

import secrets
import threading
import tracemalloc
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from audit.fields import from_microseconds
from sync_api.exceptions import NoLocalDevice, NothingKnownOfSchema, RecordTooLarge, UnitTooLarge
from sync_api.models import LocalDevice, OutgoingBatch, OutgoingTransaction
from sync_api.sealing import seal, seal_next
from sync_api.verification import verify_chain
from sync_api.wire.format import Envelope, decode
from sync_api.wire.header import read_header
from sync_api.wire.lines import read_lines
from tests.integration.field import START, captured, local

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg"], transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]
NAME = "test-laptop"


@pytest.fixture
def device(laptop: str) -> LocalDevice:
    return local(laptop, NAME)


def envelopes(laptop: str) -> list[Envelope]:
    return [decode(bytes(batch.content)) for batch in OutgoingBatch.objects.using(laptop).order_by("number")]


def keys_in(envelope: Envelope) -> list[str | int]:
    return [line.key for line in read_lines(read_header(envelope.header, lines=len(envelope.lines)), envelope.lines)]


def test_units_become_numbered_chained_signed_batches(laptop: str, device: LocalDevice, settings: Any) -> None:
    settings.SYNC_BATCH_LINES = 4
    rows = captured(laptop, NAME, [1, 2, 1, 3, 2])
    report = seal(laptop, NAME)
    sealed = envelopes(laptop)
    assert report.batches == len(sealed) > 1
    assert (report.units, report.transactions) == (5, 9)
    assert [key for envelope in sealed for key in keys_in(envelope)] == [row.tx_pk for row in rows]
    assert [envelope.header["previous"] for envelope in sealed] == ["", *(e.hash for e in sealed[:-1])]
    assert [envelope.header["first"] for envelope in sealed] == _firsts(sealed)
    assert verify_chain(laptop).problems == []
    assert seal(laptop, NAME).batches == 0


def _firsts(sealed: list[Envelope]) -> list[int]:
    firsts, first = [], 1
    for envelope in sealed:
        firsts.append(first)
        first += envelope.header["count"]
    return firsts


def test_a_unit_is_never_split(laptop: str, device: LocalDevice, settings: Any) -> None:
    settings.SYNC_BATCH_LINES = 2
    captured(laptop, NAME, [1, 5, 1])
    seal(laptop, NAME)
    for envelope in envelopes(laptop):
        header = read_header(envelope.header, lines=len(envelope.lines))
        assert header.units == len({line.unit for line in read_lines(header, envelope.lines)})
    numbers = OutgoingTransaction.objects.using(laptop).order_by("id").values_list("unit", "batch_number")
    assert len(set(numbers)) == 3


def test_bytes_close_a_batch_too(laptop: str, device: LocalDevice, settings: Any) -> None:
    settings.SYNC_BATCH_BYTES = 100
    captured(laptop, NAME, [1, 1, 1, 1, 1, 1])
    assert seal(laptop, NAME).batches > 1


def test_the_same_rows_give_the_same_bytes(laptop: str, device: LocalDevice) -> None:
    captured(laptop, NAME, [2, 3])
    first = seal_next(laptop, NAME)
    assert first is not None
    OutgoingBatch.objects.using(laptop).all().delete()
    OutgoingTransaction.objects.using(laptop).update(batch_number=None, batch_epoch=None)
    LocalDevice.objects.using(laptop).filter(name=NAME).update(
        head_number=0, head_hash="", sequence=0, effective_at=from_microseconds(0), sealed_until=0
    )
    again = seal_next(laptop, NAME)
    assert again is not None
    assert bytes(again.content) == bytes(first.content)


def test_a_payload_is_spliced_in_as_it_was_captured(laptop: str, device: LocalDevice) -> None:
    payload = '["k[1]",  "spaces and \\u00e9 stay"]'
    captured(laptop, NAME, [1], payload=payload, user="a[b", reason='say "why" [twice]')
    seal(laptop, NAME)
    (envelope,) = envelopes(laptop)
    (line,) = read_lines(read_header(envelope.header, lines=1), envelope.lines)
    assert (line.payload, line.user, line.reason) == (payload, "a[b", 'say "why" [twice]')


def test_other_devices_in_the_same_database_are_left_alone(laptop: str, device: LocalDevice) -> None:
    local(laptop, "test-other")
    captured(laptop, NAME, [1])
    captured(laptop, "test-other", [2], first_unit=10)
    captured(laptop, NAME, [1], first_unit=20)
    assert seal(laptop, NAME).transactions == 2
    assert seal(laptop, "test-other").transactions == 2


def test_rows_of_two_producers_name_theirs(laptop: str, device: LocalDevice) -> None:
    captured(laptop, NAME, [1])
    captured(laptop, NAME, [1], first_unit=2, producer="elsewhere")
    seal(laptop, NAME)
    (envelope,) = envelopes(laptop)
    header = read_header(envelope.header, lines=2)
    assert [header.producers[line.producer] for line in read_lines(header, envelope.lines)][1] == "elsewhere"


def test_effective_time_never_goes_back(laptop: str, device: LocalDevice) -> None:
    captured(laptop, NAME, [1], captured_at=from_microseconds(START + 10))
    seal(laptop, NAME)
    captured(laptop, NAME, [1], first_unit=2, captured_at=from_microseconds(START))
    seal(laptop, NAME)
    assert [envelope.header["time"] for envelope in envelopes(laptop)] == [START + 10, START + 10]
    assert envelopes(laptop)[1].header["effective"] == START + 10


@pytest.mark.parametrize("limit", ["SYNC_UNIT_LINES_MAX", "SYNC_UNIT_BYTES_MAX"])
def test_a_unit_that_no_batch_may_carry_is_refused_by_the_limit_s_name(
    laptop: str, device: LocalDevice, settings: Any, limit: str
) -> None:
    settings.SYNC_BATCH_LINES = 2
    setattr(settings, limit, 4)
    captured(laptop, NAME, [5])
    with pytest.raises(UnitTooLarge, match=limit):
        seal(laptop, NAME)
    assert not OutgoingBatch.objects.using(laptop).exists()


LIMITS_OF_A_RECEIVER = [
    ("SYNC_LINE_BYTES_MAX", {"SYNC_LINE_BYTES_MAX": 400}),
    ("SYNC_ENVELOPE_BYTES_MAX", {"SYNC_ENVELOPE_BYTES_MAX": 2_000}),
    ("SYNC_CONTENT_BYTES_MAX", {"SYNC_CONTENT_BYTES_MAX": 3_000}),
    ("SYNC_DECOMPRESSION_RATIO_MAX", {"SYNC_DECOMPRESSION_FREE_BYTES": 5_000, "SYNC_DECOMPRESSION_RATIO_MAX": 4}),
]


@pytest.mark.parametrize(("limit", "values"), LIMITS_OF_A_RECEIVER, ids=[limit for limit, _ in LIMITS_OF_A_RECEIVER])
def test_a_record_that_no_server_would_take_is_named_and_what_is_before_it_goes(
    laptop: str, device: LocalDevice, settings: Any, limit: str, values: dict[str, int]
) -> None:
    for name, value in values.items():
        setattr(settings, name, value)
    text = secrets.token_hex(3_000) if limit == "SYNC_ENVELOPE_BYTES_MAX" else "large" * 2_000
    before = captured(laptop, NAME, [1, 1, 1])
    (large,) = captured(laptop, NAME, [1], first_unit=10, payload=f'["k","{text}"]')
    after = captured(laptop, NAME, [1], first_unit=20)
    with pytest.raises(RecordTooLarge, match=limit) as refused:
        seal(laptop, NAME)
    assert f"{large.tx_name} {large.tx_pk}" in str(refused.value)
    assert [key for envelope in envelopes(laptop) for key in keys_in(envelope)] == [row.tx_pk for row in before]

    for name in values:
        delattr(settings, name)
    seal(laptop, NAME)
    sealed = [key for envelope in envelopes(laptop) for key in keys_in(envelope)]
    assert sealed == [*(row.tx_pk for row in before), "k", *(row.tx_pk for row in after)]
    assert verify_chain(laptop).problems == []


def test_several_large_units_that_interleave_are_no_unit_too_large(device: LocalDevice, settings: Any) -> None:
    """On PostgreSQL: none of them is whole within a window that is larger than any may be."""
    alias = device._state.db
    if alias == "default":
        pytest.skip("SQLite has one writer at a time: its units never interleave")
    settings.SYNC_BATCH_LINES = 2
    settings.SYNC_UNIT_LINES_MAX = 10
    rows = captured(alias, NAME, [9, 9, 9])
    order = [row for place in range(9) for row in rows[place::9]]
    for number, row in enumerate(order):
        OutgoingTransaction.objects.using(alias).filter(pk=row.pk).update(id=rows[-1].pk + 1 + number)
    assert [len(envelope.lines) for envelope in sealed(alias)] == [9, 9, 9]


def sealed(alias: str) -> list[Any]:
    seal(alias, NAME)
    return envelopes(alias)


def test_the_bytes_of_a_unit_are_those_of_its_utf8(laptop: str, device: LocalDevice, settings: Any) -> None:
    settings.SYNC_BATCH_BYTES = 50
    settings.SYNC_UNIT_BYTES_MAX = 100
    captured(laptop, NAME, [1], payload='["k","' + "ü" * 60 + '"]')
    with pytest.raises(UnitTooLarge, match="SYNC_UNIT_BYTES_MAX"):
        seal(laptop, NAME)


@pytest.mark.parametrize("limit", ["SYNC_UNIT_LINES_MAX", "SYNC_UNIT_BYTES_MAX"])
def test_what_is_before_a_unit_that_no_batch_may_carry_goes(
    laptop: str, device: LocalDevice, settings: Any, limit: str
) -> None:
    settings.SYNC_BATCH_LINES = 3
    settings.SYNC_BATCH_BYTES = 120
    setattr(settings, limit, 3 if limit.endswith("LINES_MAX") else 200)
    before = captured(laptop, NAME, [1])
    large = captured(laptop, NAME, [6], first_unit=10)
    with pytest.raises(UnitTooLarge, match=f"matrix.note {large[0].tx_pk}"):
        seal(laptop, NAME)
    assert [key for envelope in envelopes(laptop) for key in keys_in(envelope)] == [row.tx_pk for row in before]


def test_a_database_that_is_no_device_is_refused(laptop: str) -> None:
    with pytest.raises(NoLocalDevice):
        seal(laptop, "test-nobody")


def test_a_lost_schema_is_refused_by_name(laptop: str, device: LocalDevice) -> None:
    captured(laptop, NAME, [1], schema_id=987_654)
    with pytest.raises(NothingKnownOfSchema):
        seal(laptop, NAME)


def test_interleaved_units_are_ordered_by_their_last_id(device: LocalDevice, laptop: str) -> None:
    if connections[laptop].vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time: its units never interleave")
    first = captured(laptop, NAME, [1], first_unit=1)
    second = captured(laptop, NAME, [1], first_unit=2)
    last = captured(laptop, NAME, [1], first_unit=1)
    seal(laptop, NAME)
    (envelope,) = envelopes(laptop)
    assert keys_in(envelope) == [row.tx_pk for row in (*second, *first, *last)]


def test_a_unit_that_commits_late_is_sealed_later_and_not_lost(device: LocalDevice, laptop: str) -> None:
    if connections[laptop].vendor == "sqlite":
        pytest.skip("SQLite commits in the order of ids")
    late = captured(laptop, NAME, [1], first_unit=1)
    OutgoingTransaction.objects.using(laptop).filter(pk=late[0].pk).delete()
    captured(laptop, NAME, [1], first_unit=2)
    assert seal(laptop, NAME).transactions == 1
    OutgoingTransaction.objects.using(laptop).bulk_create(late)  # its id is below those sealed
    assert seal(laptop, NAME).transactions == 1
    assert verify_chain(laptop).problems == []


def test_two_sealers_at_once_make_one_chain(laptop: str, device: LocalDevice, settings: Any) -> None:
    settings.SYNC_BATCH_LINES = 5
    captured(laptop, NAME, [1] * 100)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            seal(laptop, NAME)
        except BaseException as error:
            failures.append(error)
        finally:
            connections[laptop].close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert OutgoingTransaction.objects.using(laptop).filter(batch_number=None).count() == 0
    assert verify_chain(laptop).problems == []


def test_the_number_of_statements_per_batch_does_not_depend_on_its_lines(
    laptop: str, device: LocalDevice, settings: Any
) -> None:
    counts = []
    for lines in (100, 5_000):
        captured(laptop, NAME, [1] * lines, first_unit=lines * 10)
        with CaptureQueriesContext(connections[laptop]) as queries:
            seal_next(laptop, NAME)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_memory_holds_one_batch_however_many_wait(laptop: str, device: LocalDevice, settings: Any) -> None:
    settings.SYNC_BATCH_LINES = 500
    captured(laptop, NAME, [1] * 2_000)
    seal_next(laptop, NAME)
    peaks = []
    for more in (0, 10_000):
        captured(laptop, NAME, [1] * more, first_unit=100_000)
        tracemalloc.start()
        seal_next(laptop, NAME)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5
