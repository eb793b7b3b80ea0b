"""The simulator itself: a few runs, the same again from the same seed, and what the command tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.management import call_command

from audit.mirror.tables import mirror_tables
from sync_api.simulation.computers import Template
from sync_api.simulation.network import TROUBLES
from sync_api.simulation.runs import simulate
from sync_api.simulation.stage import Broken
from sync_api.simulation.world import World
from sync_api.simulation.writing import ACTIONS


def test_a_few_runs_hold_every_promise_and_make_a_report(tmp_path: Path) -> None:
    report = tmp_path / "validation.md"
    told = json.loads(call_command("simulate", seed=1, runs=2, steps=20, report=report, json=True))
    assert told["is_good"]
    assert told["runs"] == 2
    assert "All promises held" in report.read_text()


@pytest.mark.long
def test_the_same_seed_gives_the_same_run(template: Template) -> None:
    first, second = (simulate(seed=5, runs=2, steps=12, template=template) for _ in range(2))
    assert (first.kinds, first.outcomes, first.checked) == (second.kinds, second.outcomes, second.checked)


@pytest.mark.long
def test_a_run_with_every_kind_of_step_holds(world: World) -> None:
    """Scripted, so that each step is tried whatever the seeds draw."""
    world.write("laptop-1", [("create", place) for place in range(20)])
    for place, action in enumerate(ACTIONS):
        world.write("laptop-1", [(action, place)])
    assert "one unit" in world.write("laptop-1", [("create", 1), ("save", 2)])
    assert world.write("laptop-1", [("create", 3), ("save", 4)], "rollback") == "taken back"
    assert world.write("laptop-1", [("create", 3), ("save", 4)], "kill") == "killed before the commit"
    for trouble in TROUBLES:
        world.write("laptop-1", [("create", 50)])
        world.push("laptop-1", (trouble, "none"), 100)
    world.deliver_delayed()
    for point in ("seal.before_commit", "push.after_answer", "accept.after_commit"):
        world.write("laptop-1", [("create", 60)])
        world.push("laptop-1", kill=(point, 1))
    world.consume(("consume.before_commit", 1))
    world.refuse_values(0)
    world.write("laptop-2", [("create", place) for place in range(10)])
    world.pull("relay-1", "laptop-2")
    world.push_to_relay("laptop-2", "relay-2")
    world.relay("relay-1")
    world.export_bundle("relay-2", small=True)
    world.import_damaged_bundle("central", 0, 500)
    world.import_bundle("central", 0)
    world.consume()
    world.retry()
    world.ignore(0)
    world.accept(0)
    world.allow_values()
    world.back_up("central")
    world.mark_durable()
    world.purge("relay-1")
    world.fill_disk("laptop-1")
    world.write("laptop-1", [("bulk_create", 5)])
    world.free_disk("laptop-1")
    world.restore("central")
    world.finalize("laptop-1")
    world.consume()
    assert world.finalize("laptop-1").startswith("wiped")
    assert "versions" in world.erase(0)
    assert world.erase(1, ("erase.before_commit", 1)) == "killed at erase.before_commit"
    assert world.erase(1, ("erase.after_commit", 1)) == "killed at erase.after_commit"
    world.lose("laptop-2")
    world.upgrade("laptop-3")
    world.jump_clock("laptop-3", -3600)
    world.write("laptop-3", [("create", place) for place in range(10)])
    world.back_up("laptop-3")
    world.clone("laptop-3")
    world.write("laptop-3-clone", [("create", 7)])
    world.push("laptop-3-clone")
    world.restore("laptop-3")
    world.revoke("laptop-3")
    world.force_finalize("laptop-3")
    world.heal()
    assert world.check(1).startswith("all holds")


def test_a_broken_promise_is_told_as_a_script(world: World) -> None:
    """Behind the product's back, a row of the mirror goes."""
    world.write("laptop-1", [("create", place) for place in range(6)])
    world.push("laptop-1")
    world.consume()
    table = next(table for table in mirror_tables() if table.mirror.objects.using(world.server.alias).exists())
    table.mirror.objects.using(world.server.alias).all().delete()
    with pytest.raises(Broken) as found:
        world.check()
    assert "versions in the mirror" in str(found.value)
    assert found.value.script[0].startswith("world.write('laptop-1'")
