"""Sealed payloads with real processes: enrolment and refresh bring the keys, and a recipient reads everything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.processes import Installation, enrol, installation, running_web

SEALED = json.dumps({"portal.rodentspecies": ["central", "inspector-1"]})


@pytest.mark.long
def test_a_field_day_with_sealed_payloads(laptop: Installation, central: Installation, tmp_path: Path) -> None:
    inspector = installation(tmp_path, role="server", device="inspector-1", apps=["tests.portal"])
    key = inspector.manage_json("recipients", "own")["public_key"]
    laptop.extra["SYNC_SEALED_MODELS"] = SEALED
    laptop.manage("portal_make", "0", "40")
    with running_web(central) as web:
        enrol(laptop, central, web.url)
        refused = laptop.start("push_transactions")
        assert "recipients add inspector-1" in refused.communicate()[1]
        assert refused.returncode == 1
        central.manage("recipients", "add", "inspector-1", "--key", key)
        assert len(laptop.manage_json("recipients", "refresh")["added"]) == 1
        laptop.manage("push_transactions")
        old = laptop.manage_json("recipients", "list")["recipients"]
        central.manage("recipients", "rotate")
        assert len(laptop.manage_json("recipients", "refresh")["retired"]) == 1
        laptop.manage("portal_make", "40", "50")
        laptop.manage("push_transactions")
    assert {one["name"] for one in old} == {"central", "inspector-1"}
    consumed = central.manage_json("consume_transactions")
    assert (consumed["transactions"], consumed["parked"]) == (100, 0)
    assert "Rodent 49" in central.manage("snapshot", "portal.RodentSpecies", "--as-of", "now")
