"""Values of every kind are told apart and recognized again; times keep their offset; states stay readable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit.models import Device, Source, TableChanges
from sync_api.models import UploadedOffset
from sync_api.uploads.offsets import times_as_sent
from tests.integration.uploads.driving import Uploads

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])

KEY = "0b7c9f0e-0000-4000-8000-00000000000a"
FIRST: dict[str, Any] = {
    "code": KEY,
    "number": -5,
    "ratio": 0.1,
    "dose": "1.500",
    "done": 1,
    "day": "2026-04-22",
    "clock": "14:35:07.381",
    "moment": "2026-04-22T14:35:07.381+01:00",
    "took": "P1DT2H",
    "raw": {"hex": "00ff"},
    "answers": {"b": [1, None], "a": "ü"},
    "short": "ü",
    "address": "10.0.0.1",
}
SAME: dict[str, Any] = {
    "code": KEY.upper(),
    "dose": 1.5,
    "done": True,
    "clock": "14:35:07.381000",
    "moment": "2026-04-22T13:35:07.381Z",
    "took": "1 02:00:00",
    "raw": "AP8=",
    "answers": {"a": "ü", "b": [1, None]},
}
OTHER: dict[str, Any] = {
    "number": -6,
    "ratio": 0.1000000000000001,
    "dose": "1.501",
    "done": None,
    "day": "2026-04-23",
    "clock": "14:35:07.382",
    "moment": "2026-04-22T14:35:07.381+02:00",
    "took": "P1DT2H0M1S",
    "raw": {"hex": "00fe"},
    "answers": {"b": [1, False], "a": "ü"},
    "short": "u",
    "address": "10.0.0.2",
}


@pytest.fixture
def tablet(server: str) -> Uploads:
    return Uploads(server)


def send(tablet: Uploads, row: dict[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = tablet.whole({"every_kind": [row]}, app_version="2.0.0").body["tables"]["every_kind"]
    return counts


def test_values_of_every_kind_are_kept_as_they_are(tablet: Uploads) -> None:
    send(tablet, FIRST)
    row = tablet.versions("every_kind").get()
    assert (row.number, row.ratio, str(row.dose), row.done) == (-5, 0.1, "1.500", True)
    assert (str(row.day), str(row.clock), row.took) == ("2026-04-22", "14:35:07.381000", timedelta(days=1, hours=2))
    assert row.moment == datetime(2026, 4, 22, 13, 35, 7, 381_000, tzinfo=UTC)
    assert (bytes(row.raw), row.answers, row.short) == (b"\x00\xff", {"a": "ü", "b": [1, None]}, "ü")
    assert str(row.code) == KEY


@pytest.mark.parametrize("field", SAME)
def test_the_same_value_written_otherwise_is_identical(tablet: Uploads, field: str) -> None:
    send(tablet, FIRST)
    assert send(tablet, FIRST | {field: SAME[field]}) == {"identical": 1}


@pytest.mark.parametrize("field", OTHER)
def test_another_value_is_a_modification(tablet: Uploads, field: str) -> None:
    send(tablet, FIRST)
    assert send(tablet, FIRST | {field: OTHER[field]}) == {"added": 1, "modified": 1}
    assert send(tablet, FIRST | {field: None}) == {"added": 1, "modified": 1} or OTHER[field] is None


def test_a_column_that_is_left_out_is_null(tablet: Uploads) -> None:
    send(tablet, {"code": KEY})
    assert send(tablet, {"code": KEY} | dict.fromkeys(OTHER)) == {"identical": 1}


def rsg(text: str, modified: str | None, created: str | None = None) -> dict[str, Any]:
    return {"ref_satis_gen": [{"id": 1, "service": text, "when_created": created, "when_last_modified": modified}]}


def test_times_keep_the_offset_in_which_they_were_sent(tablet: Uploads) -> None:
    tablet.whole(rsg("a", "2026-04-22T14:35:07.381+05:45", "2026-04-22T09:00:00-03:30"))
    tablet.whole(rsg("b", "2026-04-22T15:35:07+05:45", "2026-04-22T09:00:00+05:45"))
    first, second = tablet.versions("ref_satis_gen")
    assert first.mirror_utc_offset == second.mirror_utc_offset == 345
    told = {name: value.isoformat() for name, value in times_as_sent(tablet.alias, first).items()}
    assert told == {
        "when_last_modified": "2026-04-22T14:35:07.381000+05:45",
        "when_created": "2026-04-22T09:00:00-03:30",
    }
    assert UploadedOffset.objects.using(tablet.alias).get(upload__device=tablet.device).versions == [first.pk]
    assert times_as_sent(tablet.alias, second)["when_created"].isoformat() == "2026-04-22T09:00:00+05:45"


def test_the_captured_timeline_follows_the_clients_own_times(tablet: Uploads) -> None:
    tablet.whole(rsg("a", "2026-04-22T10:00:00+01:00"))
    tablet.whole(rsg("b", "2026-04-22T12:00:00+01:00"), preserving=True)

    def seen(hour: int) -> list[str]:
        moment = datetime(2026, 4, 22, hour, tzinfo=UTC)
        return list(tablet.versions("ref_satis_gen").as_of(moment).values_list("service", flat=True))

    assert (seen(8), seen(9), seen(10), seen(11)) == ([], ["a"], ["a"], ["b"])


def test_a_clock_that_was_set_back_shows_no_record_twice(tablet: Uploads) -> None:
    for text, modified in (("a", "2026-04-22T10:00:00Z"), ("b", "2026-04-22T08:00:00Z"), ("c", None)):
        tablet.whole(rsg(text, modified))
    for hour in range(7, 13):
        moment = datetime(2026, 4, 22, hour, tzinfo=UTC)
        assert tablet.versions("ref_satis_gen").as_of(moment).count() <= 1


def test_an_upload_is_the_source_of_its_versions_and_has_one_audit_row_per_table(tablet: Uploads) -> None:
    reply = tablet.whole(rsg("a", None), app_version="1.2.3")
    tablet.whole(rsg("b", None), preserving=True)
    first, second = tablet.versions("ref_satis_gen")
    source = Source.objects.using(tablet.alias).get(pk=first.mirror_source)
    assert (source.kind, source.reference, source.app_version) == (
        "upload",
        reply.upload_id.replace("-", ""),
        "1.2.3",
    )
    assert (first.mirror_added_by, second.mirror_preserved_by) == (tablet.user.username,) * 2
    lines = [row.line() for row in TableChanges.objects.using(tablet.alias).filter(device=tablet.device).order_by("pk")]
    a, b = first.pk, second.pk
    assert lines == [
        f"camcops.refsatisgen (1 added, PKs [{a}])",
        f"camcops.refsatisgen (1 added, PKs [{b}]; 1 modified out, PKs [{a}]; 2 preserved, PKs [{a}, {b}])",
    ]
    assert Device.objects.using(tablet.alias).get(pk=tablet.device.pk).app_version == "1.2.3"
