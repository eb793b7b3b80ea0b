"""Installations of a field day: a server and laptops, as processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes import Installation, installation

STUDY = ["tests.portal"]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def central(request: pytest.FixtureRequest, tmp_path: Path) -> Installation:
    """A server, once on SQLite and once on PostgreSQL."""
    return installation(tmp_path, role="server", device="central", apps=STUDY, vendor=request.param)


@pytest.fixture
def laptop(tmp_path: Path) -> Installation:
    return installation(tmp_path, role="client", device="laptop-1", apps=STUDY)
