"""The simulator makes databases of its own, which pytest-django does not know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sync_api.simulation.computers import Template, simulated_settings
from sync_api.simulation.world import World


@pytest.fixture(autouse=True)
def own_databases(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="module")
def template(django_db_blocker: Any, tmp_path_factory: Any) -> Iterator[Template]:
    with django_db_blocker.unblock(), simulated_settings():
        yield Template(Path(tmp_path_factory.mktemp("template")))


@pytest.fixture
def world(template: Template) -> Iterator[World]:
    with World(template) as world:
        yield world
