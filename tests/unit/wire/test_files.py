"""What a header may tell of files, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from sync_api.wire.files import is_files, is_sealed_files

GOOD = [0, 3, "0" * 64, 12, "image/jpeg"]


def test_facts_in_their_form() -> None:
    assert is_files([GOOD, [7, 0, "ab" * 32, 0, "application/vnd.x+json"]])
    assert is_sealed_files([[0, "QUJD" * 8], [1, "QUJD" * 8]])


@pytest.mark.parametrize(
    "changed",
    [
        {0: -1}, {0: True}, {1: "0"}, {2: "zz"}, {2: "AB" * 32}, {3: -1}, {3: 2**63}, {3: 1.0}, {4: "jpeg"},
        {4: "text/html\r\nX: y"}, {4: "a/" + "b" * 60}, {4: None},
    ],
)  # fmt: skip
def test_other_facts_are_refused(changed: dict[int, Any]) -> None:
    assert not is_files([[changed.get(place, value) for place, value in enumerate(GOOD)]])


@pytest.mark.parametrize("value", [[], {}, None, [GOOD[:4]], [[*GOOD, 1]], "files"])
def test_other_shapes_are_refused(value: Any) -> None:
    assert not is_files(value)


@pytest.mark.parametrize("value", [[], [[0, "!!"]], [[0, "QUJD" * 8], [0, "QUJD" * 8]], [["0", "QUJD" * 8]], None])
def test_other_sealed_shapes_are_refused(value: Any) -> None:
    assert not is_sealed_files(value)
