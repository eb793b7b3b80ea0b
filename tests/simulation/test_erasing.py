"""A middleman and an erased record: the order reaches it, it follows, and it says so."""

from __future__ import annotations

from sync_api.relay.custody import custody
from sync_api.simulation.erasures import unfollowed
from sync_api.simulation.world import World


def test_a_middleman_follows_the_order_at_its_next_visit_and_says_so(world: World) -> None:
    world.write("laptop-1", [("create", place) for place in range(8)])
    world.pull("relay-1", "laptop-1")
    world.relay("relay-1")
    world.consume()
    world.force_finalize("laptop-1")
    assert world.erase(0).startswith("1 versions")
    relay, server = world.computer("relay-1"), world.server.alias
    assert list(unfollowed(relay, server)) != []
    world.relay("relay-1")
    assert list(unfollowed(relay, server)) == []
    assert {entry.signer for entry in custody(server, device="laptop-1") if entry.action == "erased"} == {"relay-1"}
    world.heal()
    assert world.check(1).startswith("all holds")
