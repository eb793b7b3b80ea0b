"""Files that are there whole or not at all."""

from __future__ import annotations

import pytest

from audit.reading.files import write_whole


def broken_off():
    yield "first\n"
    raise ConnectionError("the database went away")


def test_an_error_midway_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "letters.csv"
    path.write_text("old")
    with pytest.raises(ConnectionError):
        write_whole(path, broken_off())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
