"""Hashes: salted lines, the batch over them, and a chain that still verifies after a line is erased."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sync_api.wire import chain

SALT = bytes(range(32))
a_line = st.binary(max_size=200).map(lambda line: line.replace(b"\n", b" "))


@given(st.lists(a_line, min_size=1, max_size=8), st.data())
def test_any_change_of_a_line_changes_the_batch_hash(lines: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(lines) - 1))
    other = data.draw(a_line.filter(lambda line: line != lines[index]))
    changed = [*lines[:index], other, *lines[index + 1 :]]
    before = chain.batch_hash(b"{}", chain.line_hashes(SALT, lines))
    assert chain.batch_hash(b"{}", chain.line_hashes(SALT, changed)) != before


@given(st.lists(a_line, min_size=2, max_size=6, unique=True))
def test_the_order_of_lines_is_part_of_the_hash(lines: list[bytes]) -> None:
    before = chain.batch_hash(b"{}", chain.line_hashes(SALT, lines))
    assert chain.batch_hash(b"{}", chain.line_hashes(SALT, lines[::-1])) != before


@given(st.lists(a_line, min_size=1, max_size=8), st.data())
def test_erased_lines_leave_the_batch_hash_as_it_was_signed(lines: list[bytes], data: st.DataObject) -> None:
    erased = data.draw(st.sets(st.integers(0, len(lines) - 1)))
    hashes = chain.line_hashes(SALT, lines)
    salts = [None if i in erased else chain.line_salt(SALT, i) for i in range(len(lines))]
    left = [b"~" + hashes[i].hex().encode() if i in erased else line for i, line in enumerate(lines)]
    assert chain.batch_hash(b"{}", chain.erased_line_hashes(salts, left)) == chain.batch_hash(b"{}", hashes)


def test_equal_lines_have_different_hashes() -> None:
    first, second = chain.line_hashes(SALT, [b"[1]", b"[1]"])
    assert first != second


def test_the_salt_of_a_batch_depends_on_key_epoch_and_number() -> None:
    salts = {chain.batch_salt(key, epoch=epoch, number=n) for key in (b"a", b"b") for epoch in "12" for n in (1, 2)}
    assert len(salts) == 8
