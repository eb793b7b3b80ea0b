"""Every test of uploads runs with the seed's tables in the record index."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.uploads.indexing import indexed


@pytest.fixture(autouse=True)
def seeds_tables_are_indexed() -> Iterator[None]:
    with indexed():
        yield
