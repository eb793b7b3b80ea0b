"""`POST import` and `POST import/data/<id>/<md5>`. Every refusal is 4xx with a code, and nothing is stored."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

import orjson
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.datastructures import MultiValueDictKeyError
from django.views.decorators.csrf import csrf_exempt

from sync_api import conf
from sync_api.capture import sync_context
from sync_api.compat.meteorpi import wire
from sync_api.compat.meteorpi.authentication import NotAuthenticated, NotPermitted, TooManyAttempts, importing_user
from sync_api.conf import limit
from sync_api.exceptions import ContentMismatch, ContentRefused, FilesDiskFull, ImportRefused, ImportTooLarge, SyncError
from sync_api.files.store import ContentStore
from sync_api.imports import sessions
from sync_api.imports.receivers import COMPLETE, CONTINUE, RESEND, Answer, BaseImportReceiver, ImportRequest, receiver

logger = logging.getLogger(__name__)

FORM_BYTES = 16 * 1024
ENDED = ("complete", "failed")
Work = Callable[..., Answer]


def problem(status: int, code: str, detail: str, **headers: str) -> HttpResponse:
    body = {"type": f"urn:syncserver:problem:{code}", "status": status, "code": code, "detail": detail}
    return HttpResponse(orjson.dumps(body), status=status, content_type="application/problem+json", headers=headers)


def imports(work: Work) -> Callable[..., HttpResponse]:
    """A view of the wire: POST only, by a user with the role, its errors in words without anything of the inside."""

    @csrf_exempt
    @wraps(work)
    def view(request: HttpRequest, **arguments: str) -> HttpResponse:
        alias, chosen = conf.server_alias(), receiver()
        if chosen is None:
            return problem(404, "import_not_configured", "Nothing is imported here. Set SYNC_IMPORT_RECEIVER.")
        if request.method != "POST":
            return problem(405, "method_not_allowed", "Only POST is taken here.", Allow="POST")
        try:
            user = importing_user(request, alias)
        except NotAuthenticated:
            realm = {"WWW-Authenticate": 'Basic realm="import", charset="UTF-8"'}
            return problem(401, "not_authenticated", "A user and password are needed, as HTTP Basic.", **realm)
        except NotPermitted:
            return problem(403, "permission_denied", "The user is not in the group `import`.")
        except TooManyAttempts:
            return problem(
                429, "throttled", "Too many wrong passwords came from this address.", **{"Retry-After": "60"}
            )
        try:
            with sync_context(user=user, reason="import"):
                answer = work(request, alias, user, chosen, **arguments)
        except ImportRefused as error:
            return problem(error.status, error.code, str(error))
        except FilesDiskFull as error:
            return problem(507, error.code, str(error), **{"Retry-After": "60"})
        except SyncError as error:
            return problem(409, error.code, str(error))
        except DatabaseError as error:
            logger.error("An import failed", extra={"error": type(error).__name__})
            return problem(503, "server_busy", "The database did not answer.", **{"Retry-After": "60"})
        return JsonResponse(wire.written(answer))

    return view


@imports
def import_entity(request: HttpRequest, alias: str, user: str, chosen: BaseImportReceiver) -> Answer:
    """An entity, whole or by the id of one that was sent whole before."""
    body = wire.decoded(read_body(request))
    entity_id = wire.cached_id(body)
    if entity_id is not None:
        known = sessions.recall(alias, user, entity_id)
        return RESEND if known is None else receive(known, chosen)
    answer = COMPLETE
    for sent in wire.entities(alias, user, body):
        answer = receive(sent, chosen)
        if answer.state != "complete":
            return answer
    return answer


def receive(sent: ImportRequest, chosen: BaseImportReceiver) -> Answer:
    answer = chosen.receive(sent)
    if sent.entity_type in ("event", "file"):
        if answer.state in ENDED:
            sessions.forget(sent)
        else:
            sessions.remember(sent)
    return answer


@imports
def import_data(
    request: HttpRequest, alias: str, user: str, chosen: BaseImportReceiver, *, file_id: str, md5: str
) -> Answer:
    """A declared file's bytes. ContentRefused (422) when they are not what was declared: never asked for ever."""
    file_id, md5 = wire.hexadecimal(file_id, "file_id"), wire.hexadecimal(md5, "md5")
    declared = sessions.declared_file(alias, user, file_id)
    if declared is None:
        raise ContentRefused("No entity that is being received names this file. Send the entity first.")
    if declared.md5 != md5:
        raise ContentRefused("The entity declares another MD5 for this file.")
    length = content_length(request)
    if declared.size > limit("SYNC_IMPORT_FILE_BYTES_MAX") or length > declared.size + FORM_BYTES:
        raise ImportTooLarge("The file is larger than declared, or than is taken here.")
    sessions.check_room(alias, user, declared.size)
    try:
        upload: Any = request.FILES["file"]
    except MultiValueDictKeyError:
        raise ImportRefused("The form has no part named file.") from None
    try:
        kept = ContentStore(alias).take(upload.chunks(), md5=declared.md5, size=declared.size)
    except ContentMismatch:
        raise ContentRefused("The bytes are not those that were declared. Check the file at its source.") from None
    chosen.receive_file_data(alias, user, declared, kept)
    return CONTINUE


def read_body(request: HttpRequest) -> bytes:
    most = int(limit("SYNC_IMPORT_BODY_BYTES_MAX"))
    if content_length(request) > most:
        raise ImportTooLarge(f"The entity has more than {most} bytes.")
    return request.read()


def content_length(request: HttpRequest) -> int:
    told = request.META.get("CONTENT_LENGTH") or ""
    if not told.isdigit():
        raise ImportRefused("The request has no Content-Length.")
    return int(told)
