"""Reading one request of the wire: form fields within limits, and the lists and literals inside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from django.http import HttpRequest, UnreadablePostError

from sync_api import conf
from sync_api.compat.camcops.literals import LiteralWrong, Value, decode_value, decode_values
from sync_api.exceptions import WireMalformed, WireTooLarge
from sync_api.uploads.people import address_of

FORM = "application/x-www-form-urlencoded"
RECORD = "record{number}"
NAME_SHOWN_MAX = 60


@dataclass(frozen=True, slots=True)
class Fields:
    """The form fields of one request, and the SHA-256 of its body in hex."""

    values: Mapping[str, str]
    digest: str
    address: str

    def text(self, name: str, default: str | None = None) -> str:
        """A field's text. Without a default it must be there."""
        value = self.values.get(name, default)
        if value is None:
            raise WireMalformed(what=f"the field '{name}' is missing")
        return value

    def has(self, name: str) -> bool:
        return name in self.values

    def number(self, name: str) -> int:
        """A whole number that is not negative."""
        text = self.text(name).strip()
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise WireMalformed(what=f"the field '{name}' is no whole number")
        return int(text)

    def flag(self, name: str) -> bool:
        """A whole number: zero is false."""
        return self.number(name) != 0

    def names(self, name: str) -> list[str]:
        """Comma-separated names; an empty text is an empty list."""
        text = self.text(name).strip()
        names = [one.strip() for one in text.split(",")] if text else []
        if not all(names):
            raise WireMalformed(what=f"the field '{name}' has an empty name in its list")
        return names

    def literals(self, name: str) -> list[Value]:
        """Comma-separated SQL literals; an empty text is an empty list."""
        try:
            return decode_values(self.text(name))
        except LiteralWrong as error:
            raise WireMalformed(what=f"in the field '{name}', {error}") from error

    def json(self, name: str, wanted: type[list[Any]] | type[dict[str, Any]]) -> Any:
        """A JSON list or object."""
        try:
            value = json.loads(self.text(name))
        except (ValueError, RecursionError) as error:
            raise WireMalformed(what=f"the field '{name}' is no JSON") from error
        if not isinstance(value, wanted):
            raise WireMalformed(what=f"the field '{name}' is no JSON {'list' if wanted is list else 'object'}")
        return value

    def records(self, names: list[str]) -> list[list[Value]]:
        """`record0`, `record1` and so on, `nrecords` of them, each as long as `names`."""
        count = self.number("nrecords")
        if RECORD.format(number=count) in self.values:
            raise WireMalformed(what="there are more records than 'nrecords' says")
        records = [self.literals(RECORD.format(number=number)) for number in range(self.within(count))]
        for number, record in enumerate(records):
            if len(record) != len(names):
                raise WireMalformed(
                    what=f"record {number} has {len(record)} values, and 'fields' names {len(names)} columns"
                )
        return records

    def within(self, count: int) -> int:
        most = len(self.values)
        if count > most:
            raise WireMalformed(what="there are fewer records than 'nrecords' says")
        return count


def literal(text: Any, *, table: str, field: str) -> Value:
    """One literal out of JSON, where each value is a text that holds one."""
    if not isinstance(text, str):
        raise WireMalformed(what=f"a value of {table[:NAME_SHOWN_MAX]}.{field[:NAME_SHOWN_MAX]} is no text")
    try:
        return decode_value(text)
    except LiteralWrong as error:
        what = f"a value of {table[:NAME_SHOWN_MAX]}.{field[:NAME_SHOWN_MAX]} is no SQL literal"
        raise WireMalformed(what=what) from error


def read_fields(request: HttpRequest) -> Fields:
    """The form fields of the request. Raises WireMalformed or WireTooLarge.

    The body is read here, not by Django: its limits on forms would refuse a table of more than a thousand rows.
    """
    if request.content_type not in ("", FORM):
        raise WireMalformed(what=f"its content type is not {FORM}")
    body = read_body(request)
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=bool(text),
            encoding="utf-8",
            errors="strict",
            max_num_fields=int(conf.limit("SYNC_WIRE_FIELDS_MAX")),
        )
    except ValueError as error:
        raise WireMalformed(what="its body is no form, or has too many fields") from error
    values = dict(pairs)
    if len(values) != len(pairs):
        raise WireMalformed(what="a field stands twice")
    return Fields(values, hashlib.sha256(body).hexdigest(), address_of(request))


def read_body(request: HttpRequest) -> bytes:
    most = int(conf.limit("SYNC_WIRE_BODY_BYTES_MAX"))
    try:
        told = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        told = 0
    try:
        body = b"" if told > most else request.read(most + 1)
    except UnreadablePostError as error:
        raise WireMalformed(what="its body ended too early") from error
    if max(told, len(body)) > most:
        raise WireTooLarge(size_max=most)
    return bytes(body)
