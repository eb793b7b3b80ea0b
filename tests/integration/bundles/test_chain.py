"""From the field to the site's server, from there to the central one, and the receipts all the way back, on a stick."""

from __future__ import annotations

import random
from typing import Any

import pytest

from audit.models import Device
from sync_api.bundles.importing import import_bundle
from sync_api.bundles.sources import held_batches
from sync_api.deserializer import consume
from sync_api.exceptions import BundleUntrusted
from sync_api.inbox import accept
from sync_api.models import IncomingTransaction, TrustedServer
from sync_api.relay import carry
from tests.integration.bundles.conftest import CENTRAL, DATABASES, LAPTOP, RELAY, SITE, World, know_each_other

pytestmark = [
    pytest.mark.django_db(databases=DATABASES, transaction=True),
    pytest.mark.usefixtures("transport_emptied"),
]


def test_the_site_s_bundle_arrives_at_the_central_server(world: World) -> None:
    know_each_other(world)
    Device.objects.using(world.central).all().delete()
    world.batches(3)
    world.export(world.laptop)
    world.bring(world.site)
    world.export(world.site)
    (report,) = world.bring(world.central)
    assert (report.exporter, report.stored, report.refused) == (SITE, 3, [])
    assert world.held(world.central) == world.sealed()
    assert Device.objects.using(world.central).get(name=SITE).role == "server"
    assert Device.objects.using(world.central).get(name=LAPTOP).role == "client"


def test_the_central_server_takes_nothing_from_a_site_that_it_has_not_pinned(world: World) -> None:
    world.batches(1)
    world.export(world.laptop)
    world.bring(world.site)
    world.export(world.site)
    with pytest.raises(BundleUntrusted, match="trust_server"):
        world.bring(world.central)
    assert world.held(world.central) == []


def test_what_the_central_server_holds_is_not_taken_along_again(world: World) -> None:
    know_each_other(world)
    world.batches(2)
    world.export(world.laptop)
    world.bring(world.site)
    world.export(world.site)
    world.bring(world.central)
    world.export(world.central, statements_only=True)
    world.bring(world.site)
    assert held_batches(world.site) == []
    world.batches(1)
    world.export(world.laptop)
    world.bring(world.site)
    assert [one.number for one in held_batches(world.site)] == [3]
    assert len(held_batches(world.site, everything=True)) == 3
    assert len(held_batches(world.site, server="test-third")) == 3
    TrustedServer.objects.using(world.site).create(name="test-third", public_key="ab" * 32)
    assert len(held_batches(world.site)) == 3
    assert [one.number for one in held_batches(world.site, server=CENTRAL)] == [3]


def test_a_laptop_may_carry_its_own_to_a_server_that_trusts_its_home(world: World) -> None:
    know_each_other(world)
    world.batches(2)
    world.export(world.laptop)
    (report,) = world.bring(world.central)
    assert (report.stored, report.refused) == (2, [])


def test_by_two_relays_and_a_bundle_at_once_the_server_holds_what_a_push_would_bring(
    world: World, settings: Any
) -> None:
    world.batches(6)
    contents = [content for _, content in world.sealed()]
    world.export(world.laptop)
    (path,) = world.files()
    for content in contents[1::2]:
        carry(world.relay, content, handed_over_by=LAPTOP, role="client", via="pull")
    steps = [*(lambda c=content: accept(world.site, c, handed_over_by=RELAY) for content in contents[1::2])]
    steps += [lambda c=content: accept(world.site, c, handed_over_by=LAPTOP) for content in contents[:3]]
    steps += [lambda: import_bundle(world.site, path)]
    random.Random(11).shuffle(steps)
    for step in steps:
        step()
    know_each_other(world)
    for content in contents:
        accept(world.central, content, handed_over_by=LAPTOP)
    assert world.held(world.site) == world.held(world.central) == world.sealed()
    consume(world.site)
    consume(world.central)
    names = ("sequence", "unit", "tx_name", "action", "tx_pk", "payload", "is_consumed", "is_error", "error")
    states = [
        list(IncomingTransaction.objects.using(alias).order_by("sequence").values_list(*names))
        for alias in (world.site, world.central)
    ]
    assert states[0] == states[1]
    assert len(states[0]) == 12
