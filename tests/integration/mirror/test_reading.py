"""Current, past, history, differences; corrections; the commit line."""

from __future__ import annotations

import pickle
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from audit.correct import correct
from audit.engine import load_current, plan, preserve_device, write
from audit.exceptions import (
    DifferentRecords,
    FutureMoment,
    InvalidValue,
    NaiveMoment,
    NoCurrentRecord,
    NothingToCorrect,
    PlanHasFailures,
    ReasonRequired,
    UnknownDevice,
    UnknownField,
    UnknownTimeline,
)
from audit.mirror.tables import table_for
from audit.models import Device, Source, TableChanges
from audit.reading import diff, known_until
from audit.transactions import immediate
from tests.integration.mirror.committing import (
    at,
    change,
    commit,
    committed_at,
    new_device,
    new_source,
    stamp,
)
from tests.mirrored.models import Letter, Site

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])


def letter(action, key, text, second, **who):
    return change(action, Letter, key, (key, text), stamp(second, **who))


@pytest.fixture
def device(server):
    """Letter 1 was a, then b; letter 2 was c and is deleted."""
    device = new_device(server)
    commit(server, device, [letter("I", 1, "a", 0), letter("I", 2, "c", 1)])
    commit(server, device, [letter("U", 1, "b", 10), letter("D", 2, None, 11)])
    return device


def texts(rows):
    return [row.text for row in rows]


def test_history_is_in_order_and_holds_closed_versions(server, device):
    history = Letter.mirror.using(server).history(device, 1)
    assert texts(history) == ["a", "b"]
    assert [row.mirror_current for row in history] == [False, True]
    assert texts(Letter.mirror.using(server).history(device, 2)) == ["c"]


def test_rows_carry_the_models_own_names(server, device):
    assert list(Letter.mirror.using(server).current().values("id", "text")) == [{"id": 1, "text": "b"}]


def test_a_device_is_named_by_object_name_or_id(server, device):
    other = new_device(server)
    commit(server, other, [letter("I", 1, "z", 0)])
    mirror = Letter.mirror.using(server)
    for way in (device, device.name, device.pk):
        assert texts(mirror.for_device(way).current()) == ["b"]


def test_an_unknown_device_is_an_error_with_its_name(server):
    with pytest.raises(UnknownDevice, match="laptop-0"):
        Letter.mirror.using(server).for_device("laptop-0")


def test_moments_need_a_zone_and_timelines_a_known_name(server):
    mirror = Letter.mirror.using(server)
    with pytest.raises(NaiveMoment):
        mirror.as_of(datetime(2026, 3, 1))
    with pytest.raises(UnknownTimeline):
        mirror.as_of(at(0), "imagined")


def test_a_future_committed_moment_is_refused(server, device):
    with pytest.raises(FutureMoment):
        Letter.mirror.using(server).as_of(timezone.now() + timedelta(hours=1), "committed")


def test_a_moment_before_anything_shows_nothing(server, device):
    mirror = Letter.mirror.using(server)
    assert not mirror.as_of(at(-1))
    assert not mirror.as_of(device.registered_at - timedelta(days=1), "committed")


def test_a_moment_once_asked_for_is_never_written_to(server, device, monkeypatch):
    asked = timezone.now()
    before = texts(Letter.mirror.using(server).as_of(asked, "committed"))
    monkeypatch.setattr(timezone, "now", lambda: asked - timedelta(hours=2))
    rows = commit(server, device, [letter("U", 1, "new", 20)])
    assert committed_at(rows) > asked
    assert texts(Letter.mirror.using(server).as_of(asked, "committed")) == before == ["b"]


def test_commits_rise_although_the_clock_was_set_back(server, device, monkeypatch):
    first = committed_at(commit(server, device, [letter("U", 1, "x", 20)]))
    monkeypatch.setattr(timezone, "now", lambda: first - timedelta(days=1))
    second = committed_at(commit(server, device, [letter("U", 1, "y", 21)]))
    assert second > first
    mirror = Letter.mirror.using(server)
    assert texts(mirror.as_of(first, "committed")) == ["x"]
    assert texts(mirror.as_of(second, "committed")) == ["y"]


def test_changes_at_the_same_captured_moment_show_the_last_only(server):
    device = new_device(server)
    commit(server, device, [letter("I", 1, "a", 5), letter("U", 1, "b", 5), letter("U", 1, "c", 5)])
    assert texts(Letter.mirror.using(server).as_of(at(5))) == ["c"]
    assert texts(Letter.mirror.using(server).history(device, 1)) == ["a", "b", "c"]


def test_known_until_is_the_last_captured_moment_and_never_goes_back(server, device):
    assert known_until(server)[device.name] == at(11)
    commit(server, device, [letter("U", 1, "x", 3)])
    assert known_until(server)[device.name] == at(11)
    silent = new_device(server)
    assert known_until(server)[silent.name] is None


def test_a_plan_with_failures_is_not_written(server, device):
    with immediate(server):
        current = load_current(server, device.pk, {table_for(Letter): [1]})
        planned = plan([letter("I", 1, "again", 20)], current)
        assert planned.failures[0].code == "key_in_use"
        assert planned.failures[0].text.startswith("An insert of mirrored.letter 1, which already has")
        source = new_source(server, device)
        with pytest.raises(PlanHasFailures):
            write(server, device, planned, source, "consumer", "1")


def test_a_commit_prints_like_camcops(server, device):
    one, two = TableChanges.objects.using(server).filter(device=device).order_by("id")
    first, second = one.keys["added"]
    assert str(one) == f"mirrored.letter (2 added, PKs [{first}, {second}])"
    (new,) = two.keys["added"]
    assert str(two) == (
        f"mirrored.letter (1 added, PKs [{new}]; 1 modified out, PKs [{first}]; 1 deleted, PKs [{second}])"
    )
    assert one.line(keys_max=1) == f"mirrored.letter (2 added, PKs [{first}, ...])"
    assert (two.added, two.modified, two.deleted) == (0, 1, 1)


def test_preserved_records_keep_their_past_and_free_their_keys(server, device):
    era = "2026-03-02T00:00:00+00:00"
    with immediate(server):
        (changes,) = preserve_device(server, device, era, "consumer", forcibly=True)
    assert changes.preserved == 1
    commit(server, device, [letter("I", 1, "new life", 0)])
    mirror = Letter.mirror.using(server)
    assert texts(mirror.history(device, 1, era=era)) == ["a", "b"]
    assert texts(mirror.history(device, 1, era="NOW")) == ["new life"]
    assert texts(mirror.history(device, 1)) == ["a", "b", "new life"]
    assert sorted(texts(mirror.as_of(at(20)))) == ["b", "new life"]


def test_preserving_twice_changes_nothing(server, device):
    for expected in (1, 0):
        with immediate(server):
            assert len(preserve_device(server, device, "2026-03-02T00:00:00+00:00", "consumer", True)) == expected


def test_diff_of_two_versions_names_the_fields(server, device):
    change = diff(*Letter.mirror.using(server).history(device, 1))
    assert (change.kind, [(one.field, one.older, one.newer) for one in change.fields]) == (
        "changed",
        [("text", "a", "b")],
    )


def test_diff_of_versions_of_different_records_is_refused(server, device):
    mirror = Letter.mirror.using(server)
    with pytest.raises(DifferentRecords):
        diff(mirror.history(device, 1).first(), mirror.history(device, 2).first())


def test_diff_of_two_states_names_added_changed_and_removed(server, device):
    commit(server, device, [letter("I", 3, "d", 12)])
    mirror = Letter.mirror.using(server)
    changes = diff(mirror.as_of(at(5)), mirror.as_of(at(12)))
    assert [(one.kind, one.key) for one in changes] == [("changed", 1), ("removed", 2), ("added", 3)]
    assert [(one.field, one.older, one.newer) for one in changes[2].fields] == [
        ("id", None, 3),
        ("text", None, "d"),
    ]


def test_diff_passes_over_a_change_that_was_taken_back(server, device):
    commit(server, device, [letter("U", 1, "a", 20)])
    mirror = Letter.mirror.using(server)
    assert not [one for one in diff(mirror.as_of(at(0)), mirror.as_of(at(20))) if one.key == 1]


def corrected(server, device, **how):
    how = {"key": 1, "values": {"text": "right"}, "user": "dm", "reason": "checked on paper", **how}
    return correct(Letter, device=device, using=server, **how)


def test_a_correction_is_a_new_attributed_version(server, device):
    row = corrected(server, device)
    assert (row.text, row.mirror_current, row.mirror_captured_by) == ("right", True, "dm")
    assert (row.mirror_captured_reason, row.mirror_added_by) == ("checked on paper", "dm")
    source = Source.objects.using(server).get(pk=row.mirror_source)
    assert source.kind == Source.Kind.CORRECTION
    assert source.changes.get().keys["added"] == [row.mirror_pk]
    before = Letter.mirror.using(server).get(pk=row.mirror_predecessor)
    assert (before.text, before.mirror_removed_captured_reason) == ("b", "checked on paper")


def test_a_correction_does_not_say_what_the_device_is_known_until(server, device):
    corrected(server, device)
    assert known_until(server)[device.name] == at(11)


def test_older_changes_of_the_device_after_a_correction_show_nothing_twice(server, device):
    corrected(server, device)
    commit(server, device, [letter("U", 1, "late", 15)])
    mirror = Letter.mirror.using(server)
    assert texts(mirror.current()) == ["late"]
    for second in (0, 10, 12, 15, 16):
        assert len(mirror.as_of(at(second))) <= 2
        assert len({row.id for row in mirror.as_of(at(second))}) == len(mirror.as_of(at(second)))


def test_a_record_can_be_deleted_by_correction(server, device):
    row = corrected(server, device, delete=True, values=None)
    assert (row.text, row.mirror_current, row.mirror_removed_captured_by) == ("b", False, "dm")
    assert row.mirror_successor is None
    assert not Letter.mirror.using(server).current().exists()


def test_a_preserved_record_can_be_corrected(server, device):
    era = "2026-03-02T00:00:00+00:00"
    with immediate(server):
        preserve_device(server, device, era, "consumer", forcibly=False)
    assert corrected(server, device, era=era).mirror_era == era


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"reason": " "}, ReasonRequired),
        ({"values": {"texts": "x"}}, UnknownField),
        ({"values": {"id": 9}}, UnknownField),
        ({"values": {"text": "x" * 21}}, InvalidValue),
        ({"values": {"text": "b"}}, NothingToCorrect),
        ({"key": 2}, NoCurrentRecord),
        ({"key": 77}, NoCurrentRecord),
        ({"device": "laptop-0"}, UnknownDevice),
    ],
)
def test_a_correction_that_cannot_be_made_says_why(server, device, how, error):
    with pytest.raises(error) as caught:
        correct(
            Letter,
            **{
                "device": device,
                "key": 1,
                "values": {"text": "right"},
                "user": "dm",
                "reason": "checked",
                "using": server,
                **how,
            },
        )
    assert "x" * 21 not in str(caught.value)
    assert Letter.mirror.using(server).count() == 3
    assert not Source.objects.using(server).filter(kind=Source.Kind.CORRECTION).exists()


def test_a_correction_checks_what_may_be_empty(server):
    device = new_device(server)
    commit(server, device, [change("I", Site, 1, (1, "Nord", 1), stamp())])
    with pytest.raises(InvalidValue, match=r"mirrored\.site\.name"):
        correct(Site, device=device, key=1, values={"name": None}, user="dm", reason="why", using=server)
    row = correct(Site, device=device, key="1", values={"is_open": False}, user="dm", reason="why", using=server)
    assert (row.name, row.is_open) == ("Nord", False)


def test_one_current_version_is_a_constraint_of_the_database(server, device):
    from django.db import IntegrityError, transaction

    row = Letter.mirror.using(server).current().get()
    row.pk = None
    with pytest.raises(IntegrityError), transaction.atomic(using=server):
        row.save(using=server, force_insert=True)
    assert Device.objects.using(server).filter(pk=device.pk).exists()


def test_rows_are_whole_model_instances(server, device):
    row = Letter.mirror.using(server).select_related("mirror_device").current().get()
    assert (row.mirror_device, row._state.db, row._state.adding) == (device, server, False)
    assert Letter.mirror.using(server).only("text").get(pk=row.pk).mirror_era == "NOW"
    assert row == Letter.mirror.using(server).defer("text").get(pk=row.pk)
    assert pickle.loads(pickle.dumps(row)).mirror_captured_at == row.mirror_captured_at == at(10)
