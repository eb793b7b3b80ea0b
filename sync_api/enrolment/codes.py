"""One-time codes that can be read over the telephone: four proquints of 64 random bits, and a check word.

Proquints: arxiv.org/html/0901.4016. Each word of five letters is 16 bits, consonant-vowel-consonant-vowel-consonant.
The check word is the first 16 bits of the others' SHA-256: a typing error is found before any server is asked.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from django.utils.crypto import salted_hmac

from sync_api.exceptions import CodeMistyped

CONSONANTS = "bdfghjklmnprstvz"
VOWELS = "aiou"
CODE_BYTES = 8
WORDS = 5
WORD_LETTERS = 5
_WORD = re.compile(rf"(?:[{CONSONANTS}][{VOWELS}]){{2}}[{CONSONANTS}]")


def new_code() -> str:
    """A new code: five words joined by hyphens."""
    return code_of(secrets.token_bytes(CODE_BYTES))


def code_of(secret: bytes) -> str:
    """The code that says these eight bytes."""
    numbers = [int.from_bytes(secret[i : i + 2], "big") for i in range(0, CODE_BYTES, 2)]
    return "-".join(map(word, [*numbers, check_number(secret)]))


def read_code(text: str) -> bytes:
    """The eight bytes a code says, whatever its case, spaces or hyphens. Raises CodeMistyped."""
    letters = re.sub(r"[\s\-_.,]+", "", text[:200]).lower()
    if len(letters) != WORDS * WORD_LETTERS:
        raise CodeMistyped(what=f"it has {len(letters)} letters, not {WORDS * WORD_LETTERS} in {WORDS} words")
    words = [letters[i : i + WORD_LETTERS] for i in range(0, len(letters), WORD_LETTERS)]
    for place, one in enumerate(words, 1):
        if not _WORD.fullmatch(one):
            raise CodeMistyped(what=f"word {place} is not one that a code can hold")
    *numbers, check = map(number, words)
    secret = b"".join(one.to_bytes(2, "big") for one in numbers)
    if check != check_number(secret):
        raise CodeMistyped(what="the check word does not fit")
    return secret


def code_hash(secret: bytes) -> str:
    """What is kept of a code: HMAC-SHA256 under SECRET_KEY, in hex."""
    return salted_hmac("sync_api.enrolment.code", secret, algorithm="sha256").hexdigest()


def check_number(secret: bytes) -> int:
    return int.from_bytes(hashlib.sha256(b"syncserver-code" + secret).digest()[:2], "big")


def word(value: int) -> str:
    """16 bits as five letters."""
    return (
        CONSONANTS[value >> 12]
        + VOWELS[value >> 10 & 3]
        + CONSONANTS[value >> 6 & 15]
        + VOWELS[value >> 4 & 3]
        + CONSONANTS[value & 15]
    )


def number(letters: str) -> int:
    """Five letters as 16 bits."""
    first, second, third, fourth, fifth = tuple(letters)
    return (
        CONSONANTS.index(first) << 12
        | VOWELS.index(second) << 10
        | CONSONANTS.index(third) << 6
        | VOWELS.index(fourth) << 4
        | CONSONANTS.index(fifth)
    )
