"""A laptop with two targets, as processes over HTTP: the server out of reach, the middleman in the same room."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.test_kills import APPS, assert_exactly_once, make_rows
from tests.acceptance.test_middleman import new_middleman
from tests.processes import enrol, free_port, installation, running_web, start_web

pytestmark = pytest.mark.long


def test_the_middleman_gets_the_batches_while_the_server_is_out_of_reach(tmp_path: Path) -> None:
    laptop = installation(tmp_path, role="client", device="laptop-1", apps=APPS, TEST_BATCH_LINES="20")
    central = installation(tmp_path, role="server", device="central", apps=APPS)
    port = free_port()
    web = start_web(central, port=port)
    try:
        enrol(laptop, central, web.url)
        relay = new_middleman(tmp_path, "relay-1", central, web)
        make_rows(laptop, 0, 30)
        web.stop()
        with running_web(relay) as room:
            laptop.manage("push_targets", "add", "relay-1", "--url", room.url, "--relay")
            facts = json.loads(laptop.manage("push_transactions", "--json", status=1))
            told = {one["name"]: (one["state"], one["code"], one["transactions"]) for one in facts["targets"]}
            assert told == {"central": ("failed", "server_unreachable", 0), "relay-1": ("sent", None, 60)}
            web = start_web(central, port=port)
            assert relay.manage_json("relay_transactions")["transactions"] == 60
            central.manage("consume_transactions")
            assert_exactly_once(laptop, central)
            assert "relay-1" in laptop.manage("push_transactions", "--target", "relay-1")
        own = laptop.manage_json("sync_status")["own"]
        assert (own["unsent_batches"], own["acknowledged_batches"]) == (0, 3)
        assert {one["name"]: one["acknowledged_batches"] for one in own["targets"]} == {"central": 3, "relay-1": 3}
        laptop.manage("push_transactions", "--target", "central")
        said = central.manage("sync_status")
        assert "laptop-1: nothing waiting, heard " in said
        assert "relay-1 (relay): " in said
    finally:
        web.stop()
