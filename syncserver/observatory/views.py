"""Searching and downloading over HTTP, for users who may view events and files. Basic, or the admin's session."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import wraps
from typing import IO, Any

import orjson
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET

from sync_api import conf
from sync_api.compat.meteorpi.authentication import NotAuthenticated, TooManyAttempts, basic_user
from sync_api.compat.meteorpi.views import problem
from sync_api.conf import limit
from sync_api.exceptions import ExportSearchInvalid, LocalContentMissing
from syncserver.observatory.contents import open_content
from syncserver.observatory.models import FileRecord
from syncserver.observatory.search import Found, search_events, search_files
from syncserver.observatory.wire import event_dict, file_dict

RANGE = re.compile(r"bytes=(\d*)-(\d*)")
SEARCH_LENGTH_MAX = 20_000
View = Callable[..., HttpResponseBase]


def may_view(permission: str) -> Callable[[View], View]:
    """Only for users with the permission; 401 or 403 to others."""

    def decorate(view: View) -> View:
        @require_GET
        @wraps(view)
        def guarded(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
            user: Any = request.user
            if not user.is_authenticated:
                try:
                    user = basic_user(request, conf.server_alias())
                except NotAuthenticated:
                    realm = {"WWW-Authenticate": 'Basic realm="observatory", charset="UTF-8"'}
                    return problem(401, "not_authenticated", "A user and password are needed.", **realm)
                except TooManyAttempts:
                    return problem(429, "throttled", "Too many wrong passwords.", **{"Retry-After": "60"})
            if not user.has_perm(permission):
                return problem(403, "permission_denied", "The user may not view this.")
            return view(request, **arguments)

        return guarded

    return decorate


def found(request: HttpRequest, search: Callable[..., Found], name: str, written: Any) -> HttpResponse:
    told = request.GET.get("search", "{}")
    try:
        wanted = orjson.loads(told) if len(told) <= SEARCH_LENGTH_MAX else None
        result = search(wanted if isinstance(wanted, dict) else {"": None}, alias=conf.server_alias())
    except orjson.JSONDecodeError:
        return problem(400, "malformed_json", "The search is not JSON.")
    except ExportSearchInvalid as error:
        return problem(400, error.code, str(error))
    return JsonResponse({"count": result.count, name: [written(record) for record in result.records]})


@may_view("observatory.view_event")
def events(request: HttpRequest) -> HttpResponse:
    """`?search=` a JSON search: {"count", "events"}."""
    return found(request, search_events, "events", event_dict)


@may_view("observatory.view_filerecord")
def files(request: HttpRequest) -> HttpResponse:
    """`?search=` a JSON search: {"count", "files"}."""
    return found(request, search_files, "files", file_dict)


@may_view("observatory.view_filerecord")
def content(request: HttpRequest, *, file_id: Any) -> HttpResponseBase:
    """A file's bytes, whole or the range that is asked for (RFC 9110, 14: both ends count)."""
    file = FileRecord.objects.using(conf.server_alias()).filter(pk=file_id).first()
    if file is None:
        return problem(404, "not_found", "There is no such file.")
    wanted = asked_range(request, file)
    if wanted is None:
        return problem(416, "range_invalid", "No such bytes.", **{"Content-Range": f"bytes */{file.file_size}"})
    try:
        source = open_content(conf.server_alias(), file)
    except LocalContentMissing as error:
        return problem(409, error.code, str(error))
    first, last = wanted
    length = last - first + 1
    response = StreamingHttpResponse(pieces(source, first, length), content_type="application/octet-stream")
    response["Content-Length"] = str(length)
    response["Accept-Ranges"], response["ETag"] = "bytes", f'"{file.sha256}"'
    response["Content-Disposition"] = f'attachment; filename="{file.file_id.hex}"'
    if length != file.file_size:
        response.status_code = 206
        response["Content-Range"] = f"bytes {first}-{last}/{file.file_size}"
    return response


def asked_range(request: HttpRequest, file: FileRecord) -> tuple[int, int] | None:
    """First and last byte to send, both included; the whole file without a range that is understood; None for 416."""
    whole = (0, file.file_size - 1)
    if request.headers.get("If-Range") not in (None, f'"{file.sha256}"'):
        return whole
    asked = RANGE.fullmatch(request.headers.get("Range", "").strip())
    if asked is None or asked.groups() == ("", ""):
        return whole
    if not asked[1]:  # the last so many bytes
        count = min(int(asked[2]), file.file_size)
        return (file.file_size - count, file.file_size - 1) if count else None
    first = int(asked[1])
    last = min(int(asked[2]), file.file_size - 1) if asked[2] else file.file_size - 1
    if asked[2] and int(asked[2]) < first:
        return whole
    return (first, last) if first < file.file_size else None


def pieces(source: IO[bytes], first: int, length: int) -> Iterator[bytes]:
    size = int(limit("SYNC_FILE_CHUNK_BYTES"))
    with source:
        source.seek(first)
        while length > 0 and (chunk := source.read(min(size, length))):
            length -= len(chunk)
            yield chunk
