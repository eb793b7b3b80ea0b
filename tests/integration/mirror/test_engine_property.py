"""The engine against a plain-Python model: any changes, in any batches, of several devices."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.engine import load_current, plan, write
from audit.mirror.tables import table_for
from audit.transactions import immediate
from tests.integration.mirror.committing import at, change, committed_at, new_device, new_source, stamp
from tests.mirrored.models import Letter

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])

CHANGES = st.tuples(st.sampled_from("IIUUUDB"), st.integers(1, 3), st.integers(0, 8), st.sampled_from(["a", "b", None]))
BATCHES = st.lists(st.tuples(st.integers(0, 1), st.lists(CHANGES, min_size=1, max_size=6)), max_size=6)


class Expected:
    """What one device's records must look like: by key, the effective seconds and text of each change."""

    def __init__(self):
        self.told = {}

    def apply(self, action, key, second, text):
        """The failure's code, or None."""
        told = self.told.setdefault(key, [])
        present = bool(told) and told[-1][1] != "gone"
        if action == "B" and present:
            return None if told[-1][1] == (text,) else "baseline_differs"
        if action in "IB" and present:
            return "key_in_use"
        if action in "UD" and not present:
            return "record_missing"
        effective = max(second, told[-1][0]) if told else second
        told.append((effective, "gone" if action == "D" else (text,)))
        return None

    def state(self, second=None):
        state = {}
        for key, told in self.told.items():
            past = [what for when, what in told if second is None or when <= second]
            if past and past[-1] != "gone":
                state[key] = past[-1]
        return state


def read(queryset):
    rows = list(queryset.values_list("id", "text"))
    assert len(rows) == len({key for key, _ in rows}), "a record is shown twice"
    return {key: (text,) for key, text in rows}


def apply_batch(alias, device, expected, lines):
    """Commit what the model says is possible; the engine must name exactly the others as failures."""
    changes = [change(action, Letter, key, (key, text), stamp(second)) for action, key, second, text in lines]
    codes = [expected.apply(*line) for line in lines]
    keys = {table_for(Letter): {one.key for one in changes}}
    with immediate(alias):
        current = load_current(alias, device.pk, keys, {table_for(Letter)})
        failures = plan(changes, current).failures
        assert [(one.index, one.code) for one in failures] == [
            (index, code) for index, code in enumerate(codes) if code
        ]
        possible = [one for one, code in zip(changes, codes, strict=True) if code is None]
        return write(alias, device, plan(possible, current), new_source(alias, device), "consumer", "1")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES)
def test_every_past_state_is_the_models_on_both_timelines_and_stays(server, batches):
    devices = [new_device(server), new_device(server)]
    expected = [Expected(), Expected()]
    answered = []
    for which, lines in batches:
        rows = apply_batch(server, devices[which], expected[which], lines)
        for device, model in zip(devices, expected, strict=True):
            mine = Letter.mirror.using(server).for_device(device)
            assert read(mine.current()) == model.state()
            for second in range(-1, 9):
                assert read(mine.as_of(at(second))) == model.state(second)
            if rows:
                answered.append((device, committed_at(rows), model.state()))
        for device, moment, state in answered:
            assert read(Letter.mirror.using(server).for_device(device).as_of(moment, "committed")) == state


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES)
def test_versions_of_a_record_are_linked_both_ways(server, batches):
    devices = [new_device(server), new_device(server)]
    expected = [Expected(), Expected()]
    for which, lines in batches:
        apply_batch(server, devices[which], expected[which], lines)
    for device in devices:
        versions = {row.mirror_pk: row for row in Letter.mirror.using(server).for_device(device)}
        for row in versions.values():
            if row.mirror_successor is not None:
                later = versions[row.mirror_successor]
                assert later.mirror_predecessor == row.mirror_pk
                assert (later.id, later.mirror_added_at) == (row.id, row.mirror_removed_at)
                assert later.mirror_captured_at == row.mirror_removed_captured_at
            assert row.mirror_current == (row.mirror_removed_at is None)
