"""Bodies, read within their limits before anything looks at them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

import orjson
from rest_framework.exceptions import APIException, ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from sync_api import conf
from sync_api.exceptions import EnvelopeTooLarge

BATCH_MEDIA_TYPE = "application/vnd.syncserver.batch"


class BodyTooLarge(APIException):
    status_code = 413
    default_detail = "The body is larger than this address takes."
    default_code = "body_too_large"


class BatchParser(BaseParser):
    """An envelope's bytes, untouched."""

    media_type = BATCH_MEDIA_TYPE

    def parse(  # type: ignore[override]
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> bytes:
        most = int(conf.limit("SYNC_ENVELOPE_BYTES_MAX"))
        told = _told_length(parser_context)
        content = b"" if told > most else stream.read(most + 1)
        size = max(told, len(content))
        if size > most:
            raise EnvelopeTooLarge(what="size in bytes", size=size, size_max=most, setting="SYNC_ENVELOPE_BYTES_MAX")
        return bytes(content)


class StrictJSONParser(BaseParser):
    """A JSON object of limited size and depth, without NaN."""

    media_type = "application/json"
    size_limit = "SYNC_ENROL_BODY_BYTES_MAX"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        most = int(conf.limit(self.size_limit))
        body = b"" if _told_length(parser_context) > most else stream.read(most + 1)
        if len(body) > most or _told_length(parser_context) > most:
            raise BodyTooLarge
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ParseError("The body is not JSON.") from error
        if not isinstance(value, dict):
            raise ParseError("The body is not a JSON object.")
        return value


class StatementsParser(StrictJSONParser):
    """A JSON object with signed statements."""

    size_limit = "SYNC_STATEMENTS_BYTES_MAX"


def _told_length(parser_context: Mapping[str, Any] | None) -> int:
    request = (parser_context or {}).get("request")
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0) if request is not None else 0
    except ValueError:
        return 0


class AlwaysJSON(BaseContentNegotiation):
    """Answers are JSON whatever the client says it accepts: an error page in HTML would help no device."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        content_type = (request.content_type or "").split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == content_type), None)

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type
