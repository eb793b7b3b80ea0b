"""The record index: after any commits, corrections, preservations and erasures it is the one rebuilt from nothing."""

from __future__ import annotations

import contextlib
import itertools
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.correct import correct
from audit.engine import preserve_device
from audit.erasure import empty_versions, lineages
from audit.exceptions import AuditError, NotIndexable
from audit.index import check_index, find, register, reindex, unregister
from audit.index.registry import registrations
from audit.mirror.columns import NOW
from audit.mirror.tables import table_for
from audit.models import IndexEntry
from audit.transactions import immediate
from tests.integration.mirror.committing import change, commit, new_device, stamp
from tests.mirrored.models import Letter, Site, Visit

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])

eras = (f"2026-05-{number // 1000 + 1:02}T00:00:00.{number % 1000:06}+00:00" for number in itertools.count(1))


def values(model, **given):
    return tuple(given.get(name) for name in table_for(model).columns)


def site(action, key, name, second=0):
    return change(action, Site, key, values(Site, id=key, name=name, is_open=True), stamp(second))


def visit(alias, action, number, code, site_key, second=0):
    key = UUID(int=number)
    given = key.hex if connections[alias].vendor == "sqlite" else key
    return change(action, Visit, key.hex, values(Visit, id=given, code=code, site=site_key), stamp(second))


def entries(alias):
    columns = ("model", "era", "key", "text", "parent_key", "parent_text")
    return sorted(IndexEntry.objects.using(alias).values_list(*columns), key=str)


def preserve(alias, device, keys=None):
    with immediate(alias):
        preserve_device(alias, device, next(eras), "operator", False, keys=keys)


def erase(alias, device, model, key):
    table = table_for(model)
    finalized = [one for one in lineages(alias, table, device, key) if NOW not in one.eras]
    with immediate(alias):
        for one in finalized:
            empty_versions(alias, device, {table: one.pks}, user="operator", reason="asked for")


def test_an_entry_names_the_record_and_its_parent(server):
    device = new_device(server)
    commit(server, device, [site("I", 1, "Mochudi"), visit(server, "I", 1, "V-1", 1)])
    assert entries(server) == [
        ("mirrored.site", "NOW", "1", "Mochudi", None, None),
        ("mirrored.visit", "NOW", UUID(int=1).hex, "V-1", "1", "Mochudi"),
    ]


def test_a_changed_parent_changes_the_entries_of_its_dependants(server):
    device, other = new_device(server), new_device(server)
    for one in (device, other):
        commit(server, one, [site("I", 1, "Mochudy"), visit(server, "I", 1, "V-1", 1)])
    commit(server, device, [site("U", 1, "Mochudi", 1)])
    assert [entry.device_id for entry in find(server, "mochudi", model="mirrored.visit")] == [device.pk]
    assert check_index(server) == (0, [])
    commit(server, device, [site("D", 1, "", 2)])
    (entry,) = IndexEntry.objects.using(server).filter(model="mirrored.visit", device=device)
    assert (entry.parent_key, entry.parent_pk, entry.parent_text) == ("1", None, None)


def test_a_reused_key_of_a_new_era_is_another_parent(server):
    """Counted keys begin anew: a child of the new era must never be shown with the person of the old one."""
    device = new_device(server)
    commit(server, device, [site("I", 1, "Ada"), visit(server, "I", 1, "V-1", 1)])
    preserve(server, device)
    commit(server, device, [visit(server, "I", 2, "V-2", 1)])
    found = IndexEntry.objects.using(server).filter(model="mirrored.visit").order_by("text")
    assert [entry.parent_text for entry in found] == ["Ada", None]
    commit(server, device, [site("I", 1, "Bo")])
    assert [entry.parent_text for entry in found.all()] == ["Ada", "Bo"]


def test_a_parent_with_a_uuid_may_stand_in_another_era_and_its_own_comes_first(server):
    """A device that is not emptied goes on under preserved parents; such keys are never given twice."""
    device = new_device(server)

    def follow_up(number, code, follows, action="I"):
        given = {"id": UUID(int=number), "follows": UUID(int=follows) if follows else None}
        if connections[server].vendor == "sqlite":
            given = {name: key and key.hex for name, key in given.items()}
        key = UUID(int=number).hex
        return change(action, Visit, key, values(Visit, **given, code=code), stamp())

    register(Visit, identifiers=("code",), parent="follows")
    try:
        commit(server, device, [follow_up(1, "first", None)])
        preserve(server, device)
        commit(server, device, [follow_up(2, "second", 1)])
        found = IndexEntry.objects.using(server).filter(text="second")
        assert [entry.parent_text for entry in found] == ["first"]
        commit(server, device, [follow_up(1, "first again", None)])
        assert [entry.parent_text for entry in found.all()] == ["first again"]
        assert check_index(server) == (0, [])
    finally:
        unregister(Visit)


def test_an_erased_record_is_found_by_nothing_and_stays_in_the_index(server):
    device = new_device(server)
    commit(server, device, [site("I", 1, "Ada"), visit(server, "I", 1, "V-1", 1)])
    preserve(server, device)
    erase(server, device, Site, 1)
    assert not find(server, "ada").exists()
    assert sorted(entry.text for entry in IndexEntry.objects.using(server)) == ["", "V-1"]
    assert check_index(server) == (0, [])


def test_records_are_found_by_the_beginning_of_a_text_whatever_its_case(server):
    device = new_device(server)
    commit(server, device, [site("I", 1, "Mochudi"), site("I", 2, "Molepolole"), site("I", 3, "Kanye")])
    assert [entry.text for entry in find(server, "MO")] == ["Mochudi", "Molepolole"]
    assert [entry.text for entry in find(server, "mol", device=device.name)] == ["Molepolole"]
    assert list(find(server, "ochudi")) == []
    assert list(find(server, "%")) == []


def test_a_long_identifier_is_cut(server):
    device = new_device(server)
    register(Visit, identifiers=("note",), parent="site")
    try:
        key = UUID(int=1)
        given = key.hex if connections[server].vendor == "sqlite" else key
        commit(server, device, [change("I", Visit, key.hex, values(Visit, id=given, note="x" * 5000), stamp())])
    finally:
        unregister(Visit)
    assert [entry.text for entry in IndexEntry.objects.using(server)] == ["x" * 200]


def test_the_number_of_statements_does_not_depend_on_the_rows(server):
    device = new_device(server)
    counts = []
    for start, size in ((0, 1), (1, 100), (101, 1000)):
        numbers = range(start, start + size)
        changes = [site("I", number + 1, f"site {number}") for number in numbers]
        changes += [visit(server, "I", number, f"V-{number}", number + 1) for number in numbers]
        with CaptureQueriesContext(connections[server]) as queries:
            commit(server, device, changes)
        counts.append(len(queries))
    assert counts[1] == counts[2]
    assert check_index(server) == (0, [])


def test_reindex_mends_and_check_names_what_differs(server, capsys):
    device = new_device(server)
    commit(server, device, [site("I", 1, "Mochudi"), visit(server, "I", 1, "V-1", 1)])
    good = entries(server)
    IndexEntry.objects.using(server).filter(model="mirrored.site").update(text="Gaborone")
    IndexEntry.objects.using(server).filter(model="mirrored.visit").delete()
    IndexEntry.objects.using(server).create(model="gone.model", mirror_pk=7, device=device, era="NOW", key="7")
    with pytest.raises(CommandError, match="4 differences"):
        call_command("reindex", "--check", database=server)
    told = capsys.readouterr().out
    assert "missing: mirrored.visit" in told
    assert "wrong: gone.model _pk 7" in told
    assert "2 entries" in call_command("reindex", database=server)
    assert entries(server) == good
    assert "the index is the mirror's" in call_command("reindex", "--check", database=server)


def test_a_model_can_be_registered_from_outside(server):
    device = new_device(server)
    commit(server, device, [change("I", Letter, 1, (1, "dear"), stamp())])
    register(Letter, identifiers=("text",))
    try:
        assert reindex(server, ["mirrored.letter"]) == {"mirrored.letter": 1}
        assert [entry.text for entry in find(server, "dear")] == ["dear"]
    finally:
        unregister(Letter)
    reindex(server)
    assert list(find(server, "dear")) == []


def test_a_wrong_registration_is_refused_by_name():
    register(Letter, identifiers=("nonsense",))
    try:
        with pytest.raises(NotIndexable, match="nonsense"):
            registrations()
    finally:
        unregister(Letter)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("site"), st.sampled_from("IUD"), st.integers(1, 3), st.sampled_from(["a", "b"])),
        st.tuples(st.just("visit"), st.sampled_from("IUD"), st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.just("correct"), st.integers(1, 3), st.sampled_from(["c", "d"]), st.booleans()),
        st.tuples(st.just("preserve"), st.booleans(), st.integers(1, 3)),
        st.tuples(st.just("erase"), st.booleans(), st.integers(1, 3)),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_index_is_the_one_rebuilt_from_nothing_after_every_step(server, steps):
    device = new_device(server)
    for step in steps:
        do_step(server, device, step)
        assert check_index(server) == (0, [])
    before = entries(server)
    reindex(server)
    assert entries(server) == before


def do_step(alias, device, step):
    kind, *arguments = step
    if kind in ("site", "visit"):
        action, key, told = arguments
        one = site(action, key, told) if kind == "site" else visit(alias, action, key, f"V{key}", told)
        with contextlib.suppress(AssertionError):  # the engine refuses it: nothing is written
            commit(alias, device, [one])
    elif kind == "correct":
        key, name, delete = arguments
        facts = {"delete": True} if delete else {"values": {"name": name}}
        with contextlib.suppress(AuditError):
            correct(Site, device=device, key=key, user="op", reason="wrong", using=alias, **facts)
    elif kind == "preserve":
        whole, key = arguments
        preserve(alias, device, None if whole else {table_for(Site): {key}})
    else:
        is_site, key = arguments
        erase(alias, device, Site if is_site else Visit, key if is_site else UUID(int=key).hex)
