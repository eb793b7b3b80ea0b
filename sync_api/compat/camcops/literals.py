"""SQL literals, comma-separated: `1, NULL, 'it''s', X'DEADBEEF', 64'3q2+7w=='`. Pure; nothing is ever evaluated.

Numbers are ints, or Decimals where they have a point or an exponent: nothing is rounded here. A backslash has no
meaning of its own: a quote within a text is doubled, as in SQL, and a line break stands for itself.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

Value: TypeAlias = int | Decimal | str | bytes | None

DIGITS_MAX = 400
"""Of one number: a double's 309 and some."""

_LITERAL = re.compile(
    r"""[ \t\r\n]*+(?:
        (?P<null>NULL)
      | '(?P<text>(?:[^']++|'')*+)'
      | [xX]'(?P<hex>[0-9A-Fa-f]*+)'
      | 64'(?P<base64>[A-Za-z0-9+/=\r\n]*+)'
      | (?P<integer>[-+]?[0-9]++)(?![.eE0-9])
      | (?P<number>[-+]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][-+]?[0-9]++)?)
    )[ \t\r\n]*+(?P<end>,|\Z)""",
    re.VERBOSE | re.IGNORECASE,
)


class LiteralWrong(ValueError):
    """What stands at a place is no literal. The text names the place, never what stands there."""

    def __init__(self, place: int) -> None:
        super().__init__(f"value {place} of the list is no SQL literal")
        self.place = place


def decode_values(text: str) -> list[Value]:
    """The values of a comma-separated list; an empty text is an empty list. Raises LiteralWrong. Linear."""
    values: list[Value] = []
    if not text or text.isspace():
        return values
    position = 0
    while True:
        found = _LITERAL.match(text, position)
        if found is None:
            raise LiteralWrong(len(values) + 1)
        values.append(_value(found, len(values) + 1))
        position = found.end()
        if not found["end"]:
            return values


def decode_value(text: str) -> Value:
    """The value of one literal. Raises LiteralWrong."""
    values = decode_values(text)
    if len(values) != 1:
        raise LiteralWrong(min(len(values) + 1, 2))
    return values[0]


def _value(found: re.Match[str], place: int) -> Value:
    kind = next(name for name in _KINDS if found[name] is not None)
    said = found[kind]
    if kind == "null":
        return None
    if kind == "text":
        return said.replace("''", "'")
    if kind in ("integer", "number"):
        if len(said) > DIGITS_MAX:
            raise LiteralWrong(place)
        return int(said) if kind == "integer" else Decimal(said)
    try:
        return bytes.fromhex(said) if kind == "hex" else base64.b64decode(_LINES.sub("", said), validate=True)
    except (ValueError, binascii.Error) as error:
        raise LiteralWrong(place) from error


_KINDS = ("text", "integer", "null", "number", "hex", "base64")
_LINES = re.compile(r"[\r\n]+")


def encode_value(value: object) -> str:
    """The literal that says this value; bytes in base64. Raises TypeError for what has none."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal):
        number = Decimal(repr(value)) if isinstance(value, float) else value
        if not number.is_finite():
            raise TypeError("no literal says a number that is not finite")
        said = str(number)
        return said if re.search(r"[.eE]", said) else f"{said}.0"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"64'{base64.b64encode(bytes(value)).decode()}'"
    if isinstance(value, datetime | date | time):
        return encode_value(value.isoformat())
    if isinstance(value, str | UUID):
        return "'" + str(value).replace("'", "''") + "'"
    raise TypeError(f"no literal says a {type(value).__name__}")


def encode_hex(value: bytes) -> str:
    """The other way to say bytes."""
    return f"X'{value.hex().upper()}'"


def encode_values(values: Iterable[object]) -> str:
    """A comma-separated list of literals."""
    return ",".join(map(encode_value, values))
