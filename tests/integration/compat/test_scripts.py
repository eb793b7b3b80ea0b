"""The seed's manual scripts over the seed's own wire, with the exact counts after every step."""

from __future__ import annotations

import pytest

from tests.integration.compat.wire import OneStepOverTheWire, StepwiseOverTheWire
from tests.integration.uploads.scripts import SCRIPTS, Tablet

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])


@pytest.mark.parametrize("way", [OneStepOverTheWire, StepwiseOverTheWire])
@pytest.mark.parametrize("name", SCRIPTS)
def test_script_gives_the_seeds_counts_over_the_wire(
    server: str, name: str, way: type[OneStepOverTheWire | StepwiseOverTheWire]
) -> None:
    Tablet().play(SCRIPTS[name], way(server))
