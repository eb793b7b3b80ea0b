"""Hypothesis' rules: which step comes next, with which arguments. Imported only where Hypothesis is installed."""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from sync_api.failpoints import FAILPOINTS
from sync_api.simulation.computers import Template
from sync_api.simulation.network import TROUBLES
from sync_api.simulation.stage import RELAYS, SERVER
from sync_api.simulation.world import World
from sync_api.simulation.writing import ACTIONS, ENDS

LAPTOPS = ("laptop-1", "laptop-2", "laptop-3")
VARIETY_MAX = 2**16
STEPS_BETWEEN = 3
"""Steps between a copy and its restoring, or between two restorings."""

STEPS_BEFORE_FORCE = 20
"""A laptop is given up late, so that most runs see its own finalizing first."""

JUMP_SECONDS_MAX = 400 * 24 * 3600

PROFILES = ("plain", "plain", "eras", "eras", "clones", "revocations", "everything")
"""What may happen to a laptop's identity in a run. Plain runs are compared most strictly, so they are most of them."""

laptops = st.sampled_from(LAPTOPS)
relays = st.sampled_from(RELAYS)
everybody = st.sampled_from((SERVER, *LAPTOPS))
varieties = st.integers(0, VARIETY_MAX)
actions = st.tuples(st.sampled_from(ACTIONS), varieties)
passages = st.integers(1, 3)
troubles = st.one_of(st.just(()), st.lists(st.sampled_from(TROUBLES), max_size=4).map(tuple))


def kills_at(*stations: str) -> st.SearchStrategy[tuple[str, int] | None]:
    """Mostly none; else one of the stations' failpoints and the passage at which it kills."""
    points = [name for name in FAILPOINTS if name.split(".")[0] in stations]
    return st.one_of(st.none(), st.none(), st.tuples(st.sampled_from(points), passages))


class Simulation(RuleBasedStateMachine):
    """One run. Subclasses name the template and who is told of the end."""

    template: Template
    report: Any

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.template).__enter__()
        self.profile = "plain"
        self.moment = 0

    def teardown(self) -> None:
        try:
            if sys.exc_info()[1] is None:
                self.world.heal()
                facts = self.world.check(self.moment)
                self.report.ended(self.world, facts)
        finally:
            self.world.__exit__(None, None, None)

    def may(self, profile: str) -> bool:
        return self.profile in (profile, "everything")

    def is_worth_restoring(self, name: str) -> bool:
        """Whether there is a copy, and enough has happened since."""
        return self.world.steps - self.world.changed.get(name, self.world.steps) >= STEPS_BETWEEN

    def name_of(self, name: str, clone: bool) -> str:
        return f"{name}-clone" if clone and f"{name}-clone" in self.world.computers else name

    @initialize(profile=st.sampled_from(PROFILES), moment=varieties, days=st.integers(0, 3))
    def begin(self, profile: str, moment: int, days: int) -> None:
        """`moment` decides which past states are looked at in the end. Some laptops have been in use for days."""
        self.profile, self.moment = profile, moment
        for name in LAPTOPS[:days]:
            self.world.write(name, [("create", moment + place) for place in range(6 * days)])
            self.world.write(name, [("m2m_add", moment)])
            if moment % 2:
                self.world.push(name)

    # --- at the laptops; what is done most often has several rules

    @rule(name=laptops, clone=st.booleans(), action=actions)
    def write(self, name: str, clone: bool, action: tuple[str, int]) -> None:
        self.world.write(self.name_of(name, clone), [action])

    @rule(name=laptops, clone=st.booleans(), action=actions)
    def write_again(self, name: str, clone: bool, action: tuple[str, int]) -> None:
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

    @rule(name=laptops, clone=st.booleans(), kill=kills_at("seal", "push", "accept"))
    def push(self, name: str, clone: bool, kill: tuple[str, int] | None) -> None:
        self.world.push(self.name_of(name, clone), kill=kill)

    @rule(name=laptops, spoilt=troubles, cut=varieties)
    def push_over_bad_road(self, name: str, spoilt: tuple[str, ...], cut: int) -> None:
        self.world.push(name, spoilt, cut if "cut" in spoilt else 0)

    @precondition(lambda self: self.world.network.delayed)
    @rule()
    def deliver_delayed(self) -> None:
        self.world.deliver_delayed()

    @rule(name=laptops, seconds=st.one_of(st.none(), st.integers(-JUMP_SECONDS_MAX, JUMP_SECONDS_MAX)))
    def jump_clock_or_upgrade(self, name: str, seconds: int | None) -> None:
        if seconds is None:
            self.world.upgrade(name)
        else:
            self.world.jump_clock(name, seconds)

    @rule(name=everybody, full=st.booleans())
    def disk(self, name: str, full: bool) -> None:
        if full:
            self.world.fill_disk(name)
        else:
            self.world.free_disk(name)

    # --- at the server

    @rule(name=laptops, kill=kills_at("consume"))
    def push_and_consume(self, name: str, kill: tuple[str, int] | None) -> None:
        self.world.push(name)
        self.world.consume(kill)

    @rule(kill=kills_at("consume"))
    def consume(self, kill: tuple[str, int] | None) -> None:
        self.world.consume(kill)

    @rule(variety=st.integers(0, 100))
    def refuse_values(self, variety: int) -> None:
        self.world.refuse_values(variety)

    @precondition(lambda self: self.world.parked)
    @rule(which=st.integers(0, 9), does=st.sampled_from(("allow", "retry", "ignore", "accept")))
    def mend(self, which: int, does: str) -> None:
        if does == "allow":
            self.world.allow_values()
        elif does == "retry":
            self.world.retry()
        elif does == "accept":
            self.world.accept(which)
        else:
            self.world.ignore(which)

    # --- by the hands of others

    @rule(name=laptops, relay=relays, spoilt=troubles, kill=kills_at("push", "seal", "carry"), pushes=st.booleans())
    def hand_over(
        self, name: str, relay: str, spoilt: tuple[str, ...], kill: tuple[str, int] | None, pushes: bool
    ) -> None:
        """A laptop and a middleman meet."""
        if pushes:
            self.world.push_to_relay(name, relay, spoilt, kill)
        else:
            self.world.pull(relay, name, spoilt, kill)

    @precondition(lambda self: self.world.relays())
    @rule(relay=relays, spoilt=troubles, kill=kills_at("relay", "accept"))
    def relay(self, relay: str, spoilt: tuple[str, ...], kill: tuple[str, int] | None) -> None:
        self.world.relay(relay, spoilt, kill)

    @rule(name=st.sampled_from((SERVER, *LAPTOPS, *RELAYS)), small=st.booleans(), kill=kills_at("export", "seal"))
    def export_bundle(self, name: str, small: bool, kill: tuple[str, int] | None) -> None:
        self.world.export_bundle(name, small, kill=kill)

    @precondition(lambda self: self.world.bundles)
    @rule(
        name=st.sampled_from((SERVER, SERVER, *LAPTOPS, *RELAYS)),
        which=st.integers(0, 19),
        cut=st.one_of(st.none(), st.none(), varieties),
        kill=kills_at("import", "accept", "carry"),
    )
    def import_bundle(self, name: str, which: int, cut: int | None, kill: tuple[str, int] | None) -> None:
        if cut is None:
            self.world.import_bundle(name, which, kill)
        else:
            self.world.import_damaged_bundle(name, which, cut)

    # --- eras

    @precondition(lambda self: self.may("eras"))
    @rule(name=laptops, chosen=st.one_of(st.none(), st.none(), varieties), kill=kills_at("finalize", "push"))
    def finalize(self, name: str, chosen: int | None, kill: tuple[str, int] | None) -> None:
        self.world.finalize(name, chosen, kill=kill)

    @precondition(lambda self: self.may("eras"))
    @rule(name=laptops, kill=kills_at("finalize", "consume"))
    def finalize_at_once(self, name: str, kill: tuple[str, int] | None) -> None:
        """Everything that a finalization needs, one after the other."""
        self.world.finalize(name)
        self.world.consume(kill)
        self.world.finalize(name, kill=kill)

    @precondition(lambda self: self.may("eras") and self.world.steps > STEPS_BEFORE_FORCE)
    @rule(name=laptops)
    def force_finalize(self, name: str) -> None:
        self.world.force_finalize(name)

    @precondition(lambda self: self.may("eras"))
    @rule(which=varieties, kill=kills_at("erase"))
    def erase(self, which: int, kill: tuple[str, int] | None) -> None:
        self.world.erase(which, kill)

    @precondition(lambda self: SERVER in self.world.copies)
    @rule(relay=relays, purges=st.booleans())
    def mark_durable(self, relay: str, purges: bool) -> None:
        self.world.mark_durable()
        if purges and relay in self.world.computers:
            self.world.relay(relay)
            self.world.purge(relay)

    # --- what happens to whole computers

    @precondition(lambda self: self.world.steps - max(self.world.changed.values(), default=0) >= STEPS_BETWEEN)
    @rule(name=everybody)
    def back_up(self, name: str) -> None:
        self.world.back_up(name)

    @precondition(lambda self: self.is_worth_restoring(SERVER))
    @rule()
    def restore_server(self) -> None:
        self.world.restore(SERVER)

    @precondition(lambda self: self.may("clones") and any(map(self.is_worth_restoring, LAPTOPS)))
    @rule(which=st.integers(0, 2))
    def restore_laptop(self, which: int) -> None:
        names = [name for name in LAPTOPS if self.is_worth_restoring(name)]
        self.world.restore(names[which % len(names)])

    @precondition(lambda self: self.may("clones") and self.world.steps >= STEPS_BETWEEN)
    @rule(name=laptops)
    def clone(self, name: str) -> None:
        if f"{name}-clone" not in self.world.computers:
            self.world.clone(name)

    @precondition(lambda self: self.world.bundles or self.world.relays())
    @rule(name=st.sampled_from((*LAPTOPS, *RELAYS)))
    def lose(self, name: str) -> None:
        if name in self.world.computers:
            self.world.lose(name)

    @precondition(lambda self: self.may("revocations"))
    @rule(name=laptops)
    def revoke(self, name: str) -> None:
        self.world.revoke(name)

    @precondition(lambda self: self.may("revocations"))
    @rule(name=laptops, clone=st.booleans(), new_key=st.booleans())
    def enrol_again(self, name: str, clone: bool, new_key: bool) -> None:
        self.world.enrol_again(self.name_of(name, clone), new_key=new_key)
