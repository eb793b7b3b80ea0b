"""One-time codes: whatever was said over the telephone is read back, and a typing error is found."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_api.enrolment.codes import code_hash, code_of, new_code, read_code
from sync_api.exceptions import CodeMistyped

secret_bytes = st.binary(min_size=8, max_size=8)


@given(secret_bytes)
def test_a_code_says_its_bytes_in_five_words_of_five_letters(secret: bytes) -> None:
    code = code_of(secret)
    assert [len(word) for word in code.split("-")] == [5] * 5
    assert read_code(code) == secret


@given(secret_bytes, st.sampled_from([str.upper, str.title, lambda code: code.replace("-", " "), lambda c: f"  {c}. "]))
def test_case_spaces_and_hyphens_do_not_matter(secret: bytes, spoken: object) -> None:
    assert read_code(spoken(code_of(secret))) == secret  # type: ignore[operator]


@given(secret_bytes, st.integers(0, 24), st.sampled_from("abdfghijklmnoprstuvz"))
def test_one_wrong_letter_is_found(secret: bytes, place: int, letter: str) -> None:
    letters = code_of(secret).replace("-", "")
    wrong = letters[:place] + letter + letters[place + 1 :]
    if wrong != letters:
        with suppress(CodeMistyped):  # 1 in 65,536 passes the check word, but never as the same code
            assert read_code(wrong) != secret


def test_a_typing_error_names_the_check_word() -> None:
    with pytest.raises(CodeMistyped, match="check word does not fit"):
        read_code("babab-babab-babab-babab-babab")


@pytest.mark.parametrize("text", ["", "lusab", "x" * 25, "lusab babad gutih tugad", "1234 5678", "é" * 25])
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(CodeMistyped):
        read_code(text)


def test_only_a_keyed_hash_is_kept(settings: object) -> None:
    secret = read_code(new_code())
    before = code_hash(secret)
    assert len(before) == 64
    settings.SECRET_KEY = "another"  # type: ignore[attr-defined]
    assert code_hash(secret) != before
