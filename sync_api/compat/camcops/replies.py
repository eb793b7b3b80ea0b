"""Answers of the wire: lines of `key:value`, ended by a line feed each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.http import HttpResponse

from sync_api.compat.camcops.literals import encode_values
from sync_api.uploads.registry import ServerInfo

CONTENT_TYPE = "text/plain; charset=utf-8"
Reply = dict[str, str]


def lines(reply: Mapping[str, str]) -> str:
    """The text of a reply. A line break inside a value is written as `\\n`, so that each value stays one line."""
    return "".join(f"{key}:{one_line(value)}\n" for key, value in reply.items())


def one_line(value: str) -> str:
    return value.replace("\r\n", "\\n").replace("\n", "\\n").replace("\r", "\\n")


def succeeded(reply: Mapping[str, str]) -> HttpResponse:
    return answer({"success": "1", **reply})


def failed(text: str, *, code: str, status: int = 200) -> HttpResponse:
    """`success:0` and why. The client's own faults are answered with status 200, as the seed's clients expect."""
    return answer({"success": "0", "error": text, "error_code": code}, status=status)


def answer(reply: Mapping[str, str], *, status: int = 200) -> HttpResponse:
    response = HttpResponse(lines(reply), content_type=CONTENT_TYPE, status=status)
    response["Cache-Control"] = "no-store"
    return response


def select_reply(fields: Sequence[str], rows: Iterable[Sequence[Any]]) -> Reply:
    """A table in a reply: `nfields`, `fields`, `nrecords`, and `record0` and so on as lists of SQL literals."""
    told = list(rows)
    return {
        "nfields": str(len(fields)),
        "fields": ",".join(fields),
        "nrecords": str(len(told)),
        **{f"record{number}": encode_values(row) for number, row in enumerate(told)},
    }


def server_reply(info: ServerInfo) -> Reply:
    """What a client is told about the server."""
    reply = {
        "databaseTitle": info.title,
        "idPolicyUpload": info.upload_policy,
        "idPolicyFinalize": info.finalize_policy,
        "serverCamcopsVersion": info.wire_version,
    }
    for number in info.id_numbers:
        reply[f"idDescription{number.which}"] = number.description
        reply[f"idShortDescription{number.which}"] = number.short
    return reply


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
