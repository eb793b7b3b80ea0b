"""Runs that the simulator failed while it was built, shortened by it, with the seed that found each: all mended."""

from __future__ import annotations

from sync_api.simulation.world import World

MORNING = [("create", place) for place in range(12)]


def test_a_laptop_that_was_revoked_with_sealed_batches_goes_on_after_enrolling_again(world: World) -> None:
    """Seed 1: batches sealed with the revoked key blocked every later epoch."""
    world.revoke("laptop-1")
    world.write("laptop-1", MORNING)
    world.push("laptop-1")
    world.heal()
    world.check()


def test_a_clone_with_a_name_of_its_own_tells_what_was_not_sent_yet(world: World) -> None:
    """Seed 1: its baseline left out the rows that stood unsent in the log under the old name."""
    world.write("laptop-1", MORNING)
    world.clone("laptop-1")
    world.heal()
    world.check()


def test_an_older_database_with_a_newer_key_does_not_seal_what_nobody_believes(world: World) -> None:
    """Seed 2: every batch was refused (`bad_signature`), also after enrolling again."""
    world.write("laptop-1", MORNING)
    world.back_up("laptop-1")
    world.enrol_again("laptop-1", new_key=True)
    world.restore("laptop-1")
    assert "certificate_invalid" in world.push("laptop-1")
    world.heal()
    world.check()


def test_the_original_goes_on_after_its_clone_sealed_the_first_batch_of_their_epoch(world: World) -> None:
    """Seed 3: enrolling again kept the epoch, as the original had sealed nothing in it, and nothing could be sent."""
    world.write("laptop-1", MORNING)
    world.push("laptop-1")
    world.enrol_again("laptop-1")
    world.clone("laptop-1")
    world.push("laptop-1-clone")
    assert "device_restored" in world.push("laptop-1")
    world.heal()
    world.check()


def test_a_laptop_whose_whole_epoch_was_refused_goes_on(world: World) -> None:
    """Seeds 21 and 22: the epoch after a revoked one continues one that the server never held, and was refused."""
    world.write("laptop-1", MORNING)
    world.push("laptop-1")
    world.enrol_again("laptop-1")
    world.revoke("laptop-1")
    world.pull("relay-1", "laptop-1")
    world.heal()
    world.check()


def test_what_a_restored_laptop_tells_again_is_no_second_record(world: World) -> None:
    """Seed 2027: its inserts had been preserved by force, and came again as records of the next era: there twice."""
    world.write("laptop-1", MORNING)
    world.back_up("laptop-1")
    world.push("laptop-1")
    world.enrol_again("laptop-1", new_key=True)
    world.force_finalize("laptop-1")
    world.restore("laptop-1")
    world.heal()
    world.check(301)


def test_a_laptop_restored_to_before_an_epoch_goes_on_from_what_that_epoch_left(world: World) -> None:
    """Seed 2027: its baseline found nothing in the eras of the epoch that it knew, and became a second record."""
    world.write("laptop-1", MORNING)
    world.push("laptop-1")
    world.back_up("laptop-1")
    world.enrol_again("laptop-1")
    world.force_finalize("laptop-1")
    world.push("laptop-1")
    world.force_finalize("laptop-1")
    world.restore("laptop-1")
    world.heal()
    world.check(301)


def test_a_restored_server_takes_what_it_had_acknowledged_of_a_laptop_that_was_revoked_since(world: World) -> None:
    """Seed 2033: the batch had the server's receipt, and was refused for ever, as its key was revoked meanwhile."""
    world.back_up("central")
    world.write("laptop-1", MORNING)
    world.push("laptop-1")
    world.restore("central")
    world.revoke("laptop-1")
    world.heal()
    world.check(962)


def test_a_middleman_hands_on_what_a_laptop_sealed_after_enrolling_again(world: World) -> None:
    """Seed 90003: the epoch of the revoked key was refused, and the next one never offered."""
    world.write("laptop-3", [("create", 1433)])
    world.revoke("laptop-3")
    world.finalize("laptop-3", 344)
    world.enrol_again("laptop-3", new_key=True)
    world.push_to_relay("laptop-3", "relay-2")
    assert world.relay("relay-2") == "handed on 1 batches, 1 refused"
    world.heal()
    world.check()
