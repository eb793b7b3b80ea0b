"""The seed's manual scripts, step by step, with the exact counts."""

from __future__ import annotations

import pytest

from tests.integration.uploads.driving import OneStep, Stepwise
from tests.integration.uploads.scripts import SCRIPTS, Tablet

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])


@pytest.mark.parametrize("way", [OneStep, Stepwise])
@pytest.mark.parametrize("name", SCRIPTS)
def test_script_gives_the_seeds_counts(server: str, name: str, way: type[OneStep | Stepwise]) -> None:
    Tablet().play(SCRIPTS[name], way(server))
