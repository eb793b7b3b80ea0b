"""Hypothesis' rules: which step comes next, with which arguments. Imported only where Hypothesis is installed."""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from sync_api.failpoints import FAILPOINTS
from sync_api.simulation.computers import Template
from sync_api.simulation.network import TROUBLES
from sync_api.simulation.world import SERVER, World
from sync_api.simulation.writing import ACTIONS, ENDS

LAPTOPS = ("laptop-1", "laptop-2", "laptop-3")
VARIETY_MAX = 2**16
JUMP_SECONDS_MAX = 400 * 24 * 3600

laptops = st.sampled_from(LAPTOPS)
varieties = st.integers(0, VARIETY_MAX)
actions = st.tuples(st.sampled_from(ACTIONS), varieties)
passages = st.integers(1, 3)


def kills_at(*stations: str) -> st.SearchStrategy[tuple[str, int] | None]:
    """Mostly none; else one of the stations' failpoints and the passage at which it kills."""
    points = [name for name in FAILPOINTS if name.split(".")[0] in stations]
    return st.one_of(st.none(), st.none(), st.tuples(st.sampled_from(points), passages))


troubles = st.one_of(st.just(()), st.lists(st.sampled_from(TROUBLES), max_size=4).map(tuple))


class Simulation(RuleBasedStateMachine):
    """One run. Subclasses name the template."""

    template: Template
    report: Any
    """Told of each run that has ended well: steps and facts."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.template).__enter__()
        self.moment = 0

    def teardown(self) -> None:
        try:
            if sys.exc_info()[1] is None:
                self.world.heal()
                facts = self.world.check(self.moment)
                self.report.ended(self.world, facts)
        finally:
            self.world.__exit__(None, None, None)

    def name_of(self, name: str, clone: bool) -> str:
        return f"{name}-clone" if clone and f"{name}-clone" in self.world.computers else name

    @rule(name=laptops, clone=st.booleans(), action=actions)
    def write(self, name: str, clone: bool, action: tuple[str, int]) -> None:
        self.world.write(self.name_of(name, clone), [action])

    @rule(name=laptops, count=st.integers(2, 8), variety=varieties)
    def write_many(self, name: str, count: int, variety: int) -> None:
        """A morning's work: several writes, each its own unit."""
        for place in range(count):
            number = variety + place
            self.world.write(name, [("create" if place % 2 == 0 else ACTIONS[number % len(ACTIONS)], number)])

    @rule(name=laptops, unit=st.lists(actions, min_size=2, max_size=9), ends=st.sampled_from(ENDS))
    def write_unit(self, name: str, unit: list[tuple[str, int]], ends: str) -> None:
        self.world.write(name, unit, ends)

    @rule(name=laptops, clone=st.booleans(), spoilt=troubles, cut=varieties, kill=kills_at("seal", "push", "accept"))
    def push(self, name: str, clone: bool, spoilt: tuple[str, ...], cut: int, kill: tuple[str, int] | None) -> None:
        self.world.push(self.name_of(name, clone), spoilt, cut if "cut" in spoilt else 0, kill)

    @rule(kill=kills_at("consume"))
    def consume(self, kill: tuple[str, int] | None) -> None:
        self.world.consume(kill)

    @precondition(lambda self: self.world.network.delayed)
    @rule()
    def deliver_delayed(self) -> None:
        self.world.deliver_delayed()

    @rule(name=laptops, seconds=st.integers(-JUMP_SECONDS_MAX, JUMP_SECONDS_MAX))
    def jump_clock(self, name: str, seconds: int) -> None:
        self.world.jump_clock(name, seconds)

    @rule(name=laptops)
    def clone(self, name: str) -> None:
        self.world.clone(name)

    @rule(name=st.sampled_from((SERVER, *LAPTOPS)))
    def back_up(self, name: str) -> None:
        self.world.back_up(name)

    @precondition(lambda self: self.world.copies)
    @rule(which=st.integers(0, 3))
    def restore(self, which: int) -> None:
        names = sorted(self.world.copies)
        self.world.restore(names[which % len(names)])

    @rule(name=st.sampled_from((SERVER, *LAPTOPS)))
    def fill_disk(self, name: str) -> None:
        self.world.fill_disk(name)

    @rule(name=st.sampled_from((SERVER, *LAPTOPS)))
    def free_disk(self, name: str) -> None:
        self.world.free_disk(name)

    @rule(name=laptops)
    def upgrade(self, name: str) -> None:
        self.world.upgrade(name)

    @rule(variety=st.integers(0, 100))
    def refuse_values(self, variety: int) -> None:
        self.world.refuse_values(variety)

    @rule()
    def allow_values(self) -> None:
        self.world.allow_values()

    @rule()
    def retry(self) -> None:
        self.world.retry()

    @rule(which=st.integers(0, 9))
    def ignore(self, which: int) -> None:
        self.world.ignore(which)

    @rule(name=laptops)
    def revoke(self, name: str) -> None:
        self.world.revoke(name)

    @rule(name=laptops, new_key=st.booleans())
    def enrol_again(self, name: str, new_key: bool) -> None:
        self.world.enrol_again(name, new_key=new_key)

    @rule(moment=varieties)
    def choose_moment(self, moment: int) -> None:
        """Which past states are looked at in the end."""
        self.moment = moment
