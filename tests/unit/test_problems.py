"""Every problem code is documented, with its status."""

from __future__ import annotations

from pathlib import Path

import pytest

from sync_api.rest.problems import PROBLEMS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "rest.md"


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_problem_code_is_documented(code: str) -> None:
    assert f"| `{code}` | {PROBLEMS[code].status} |" in PAGE.read_text()
