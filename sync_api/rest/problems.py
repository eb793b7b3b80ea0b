"""Every error as application/problem+json (RFC 9457), with a stable code and the next step.

Nothing of the inside gets out: no stack, no SQL, no field values.
"""

from __future__ import annotations

import logging
import math
from dataclasses import asdict
from typing import Any, NamedTuple

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import APIView

from sync_api.discreet import without_values
from sync_api.exceptions import RecordsRefused, SyncError, TooManyTries

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
BUSY_SECONDS = 5


class Problem(NamedTuple):
    """What an answer with this code always says."""

    status: int
    title: str
    next_step: str


RESEND = "Send the stored batch again, unchanged."
ENROL_AGAIN = "Run `add_device` on the server and `enrol` on the device with the new code."
READ_TABLES = "Compare the tables and columns with the server's data dictionary."
READ_SCHEMA = "Compare the request with /api/v1/schema/."
ASK_MISSING = "Ask `files/missing`, and begin a new upload."
READ_TUS = "Compare the request with tus 1.0 and with docs/reference/rest.md."

PROBLEMS: dict[str, Problem] = {
    # any request
    "not_found": Problem(404, "There is nothing at this address", READ_SCHEMA),
    "method_not_allowed": Problem(405, "This address does not take this method", READ_SCHEMA),
    "unsupported_media_type": Problem(415, "This content type is not taken here", READ_SCHEMA),
    "malformed_json": Problem(400, "The body is not JSON", READ_SCHEMA),
    "invalid_request": Problem(400, "The request is not valid", READ_SCHEMA),
    "body_too_large": Problem(413, "The body is too large", READ_SCHEMA),
    "not_authenticated": Problem(401, "A device's token is needed", "Send it as `Authorization: Bearer TOKEN`."),
    "token_unknown": Problem(401, "The token is not known or has been replaced", ENROL_AGAIN),
    "permission_denied": Problem(403, "Not permitted", "Ask the server's operator."),
    "throttled": Problem(429, "Too many requests", "Wait as long as Retry-After says."),
    "server_busy": Problem(503, "The server is busy", "Wait as long as Retry-After says, then send again."),
    "internal_error": Problem(500, "The server failed", "Send again later; tell the operator if it stays so."),
    # batches
    "malformed_envelope": Problem(400, "The bytes are not a whole batch", RESEND),
    "envelope_too_large": Problem(413, "The batch is too large", "Raise the named limit, or send smaller units."),
    "erased_line_unproven": Problem(409, "A line is erased without proof", "Send the erasure order first."),
    "bad_signature": Problem(403, "The signature does not fit", RESEND),
    "key_unknown": Problem(403, "The key is not enrolled", ENROL_AGAIN),
    "device_unknown": Problem(403, "The device is not enrolled", ENROL_AGAIN),
    "device_revoked": Problem(403, "The device has been revoked", "Ask the server's operator."),
    "wrong_device": Problem(403, "A device pushes only its own batches", "Carry others' batches with a relay."),
    "batch_fork": Problem(409, "Another batch has this place", ENROL_AGAIN),
    "epoch_closed": Problem(409, "A newer epoch has begun", "Take the old copy out of use, or enrol it anew."),
    "epoch_unknown": Problem(409, "The epoch does not fit", ENROL_AGAIN),
    "sequence_mismatch": Problem(409, "The batch does not continue the one before", ENROL_AGAIN),
    "early_limit": Problem(409, "Too much waits behind a gap", "Send the batch named by `expected` first."),
    "recipient_key_file_broken": Problem(
        503, "The server's key for sealed payloads is damaged", "Restore the server's key folder, then send again."
    ),
    # certificates, visits, statements
    "certificate_invalid": Problem(403, "The certificate is not valid", ENROL_AGAIN),
    "issuer_unknown": Problem(403, "The certificate's issuer is not trusted here", "Pin its key with `trust_server`."),
    "certificate_revoked": Problem(403, "The certificate has been revoked", "Ask the server's operator."),
    "device_name_taken": Problem(409, "Another device has this name", "Give one of them another name."),
    "visit_refused": Problem(403, "The visit was refused", "Ask for a new nonce and sign it."),
    "too_many_visits": Problem(429, "Too many visits of one device", "Use the pass of the last visit, or wait."),
    "too_many_statements": Problem(400, "Not a list of statements that is taken", "Send them in several requests."),
    "not_enrolled": Problem(409, "This installation is not enrolled itself", "Run `enrol` on it."),
    # middlemen
    "relay_full": Problem(507, "The middleman has no room", "Try again later, or send to the server."),
    "not_a_relay": Problem(403, "This installation takes no batches", "Send them to a server or a middleman."),
    "day_invalid": Problem(400, "This is not a day", "Write it as 2026-05-04."),
    "manifest_too_large": Problem(400, "Too many records of one day", "Name fewer models in SYNC_RECONCILE_MODELS."),
    "visitor_refused": Problem(403, "Only middlemen and servers fetch batches", "Enrol it with --role relay."),
    "batch_not_here": Problem(404, "The batch is not stored here", "Ask for the list again."),
    # files
    "content_mismatch": Problem(422, "The bytes are not those that were declared", "Send the declared file anew."),
    "content_missing": Problem(404, "The bytes are not here", "Ask again after the next push of the device."),
    "content_damaged": Problem(500, "The stored bytes have changed", "Tell the operator to look at the disk."),
    "content_held": Problem(409, "The bytes are here already", "There is nothing to send."),
    "files_disk_full": Problem(507, "There is no room for the file", "Try again later, or send elsewhere."),
    "file_too_large": Problem(413, "The file is too large", "Raise SYNC_FILE_BYTES_MAX on the receiving side."),
    "file_upload_undeclared": Problem(403, "No record declares this file", "Push the records first."),
    "file_upload_metadata_invalid": Problem(400, "The upload does not say what it brings", READ_TUS),
    "file_upload_unknown": Problem(404, "There is no such upload", ASK_MISSING),
    "file_upload_gone": Problem(410, "The upload has ended", ASK_MISSING),
    "file_upload_not_yours": Problem(403, "Another installation began this upload", "Begin one of your own."),
    "file_upload_offset_differs": Problem(
        409, "The bytes do not continue the upload", "Go on from the offset HEAD says."
    ),
    "file_upload_too_long": Problem(413, "More bytes than declared", "Send the declared file."),
    "file_upload_locked": Problem(423, "Another request is writing to this upload", "Wait, ask by HEAD, and go on."),
    "file_uploads_too_many": Problem(429, "Too many uploads are open", "Finish or terminate some."),
    "checksum_mismatch": Problem(460, "The bytes are not those of their checksum", "Send the chunk again."),
    "checksum_unusable": Problem(400, "The checksum is not usable", READ_TUS),
    "tus_version_unsupported": Problem(412, "Another version of tus", "Send `Tus-Resumable: 1.0.0`."),
    # enrolment
    # people, their devices and uploads
    "credentials_refused": Problem(401, "No such user and password", "Send both as HTTP Basic."),
    "device_not_registered": Problem(404, "The device is not registered", "Register it: POST /api/v1/devices/."),
    "device_of_another_group": Problem(409, "Another group's device has this name", "Give the device another name."),
    "device_name_invalid": Problem(400, "Not a device's name", "1 to 64 letters, digits, dots, hyphens, underscores."),
    "group_unclear": Problem(400, "For which group the device is, is not clear", "Name one of the user's groups."),
    "client_too_old": Problem(409, "The client is too old for this table", "Upgrade the client."),
    "access_key_refused": Problem(403, "The access key is not valid", "Ask the study for a new one."),
    "records_refused": Problem(409, "The server refuses records", "Correct the records in `refusals`; upload again."),
    "records_not_yours": Problem(403, "Records belong to someone else", "Upload only your own record's data."),
    "code_mistyped": Problem(400, "The code was mistyped", "Read the code again, word by word."),
    "code_refused": Problem(403, "The code is not valid", "Ask the operator for a new code."),
    "proof_invalid": Problem(400, "The request is not signed with its key", "Run `enrol` again on the device."),
    "key_taken": Problem(409, "The key cannot be used", "Run `enrol` again with --new-key."),
    "device_name_differs": Problem(409, "The code is for another device", "Set SYNC_DEVICE to the code's device."),
    # uploads of tables
    "upload_refused": Problem(400, "The upload was refused", READ_TABLES),
    "upload_unknown": Problem(404, "There is no such upload", "Start a new upload."),
    "upload_not_open": Problem(409, "The upload has ended", "Start a new upload."),
    "upload_incomplete": Problem(409, "Records were asked for and not sent", "Send them, then end the upload."),
    "upload_too_large": Problem(413, "The upload is too large", "Upload less, or raise the named limit."),
    "idempotency_key_reused": Problem(409, "The key was used for another request", "Give each request its own key."),
    "idempotency_key_invalid": Problem(400, "This is no idempotency key", "Use a UUID."),
    "device_sends_log": Problem(409, "The device delivers a log", "Preserve its records, then run `device_kind`."),
    "device_uploads_states": Problem(409, "The device uploads tables", "Preserve its records, then run `device_kind`."),
    "device_kind_fixed": Problem(409, "The device's kind is fixed now", "Preserve its records first."),
    "table_unknown": Problem(400, "The table takes no uploads", READ_TABLES),
    "table_twice": Problem(400, "A table is named twice", "Send each table once."),
    "field_unknown": Problem(400, "The table has no such column", READ_TABLES),
    "field_reserved": Problem(400, "The column is the server's", "Leave it out."),
    "field_twice": Problem(400, "A column is given twice", "Give each column once."),
    "value_wrong": Problem(400, "A value does not fit its column", READ_TABLES),
    "rows_invalid": Problem(400, "The rows cannot be read", READ_SCHEMA),
    "client_key_missing": Problem(400, "A row has no key", "Send each row with its key."),
    "client_key_twice": Problem(400, "Two rows have the same key", "Send each record once."),
    "rows_not_storable": Problem(400, "The database cannot hold the rows", "Tell the server's operator."),
}
SYNC_ERROR = Problem(400, "The request was refused", "Read `detail`.")


def problem(code: str, detail: str, *, status_code: int | None = None, **facts: Any) -> dict[str, Any]:
    """The body of an answer. `facts` are added as members of their own."""
    known = PROBLEMS.get(code, SYNC_ERROR)
    return {
        "type": f"urn:syncserver:problem:{code}",
        "title": known.title,
        "status": status_code or known.status,
        "code": code,
        "detail": detail,
        "next_step": known.next_step,
        **facts,
    }


def problem_response(
    code: str, detail: str, *, status_code: int | None = None, headers: dict[str, str] | None = None, **facts: Any
) -> Response:
    body = problem(code, detail, status_code=status_code, **facts)
    return Response(body, status=body["status"], headers=headers, content_type=CONTENT_TYPE)


def handle_exception(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler for the views of this package."""
    if isinstance(error, SyncError):
        return _sync_problem(error)
    if isinstance(error, Http404):
        return problem_response("not_found", "There is nothing at this address.")
    if isinstance(error, PermissionDenied):
        return problem_response("permission_denied", "This is not permitted.")
    if isinstance(error, RequestDataTooBig):
        return problem_response("body_too_large", "The body is larger than this address takes.")
    if isinstance(error, SuspiciousOperation):
        return problem_response("invalid_request", "The request is not valid.")
    if isinstance(error, exceptions.APIException):
        return _api_problem(error, context)
    return _failure(error)


def _sync_problem(error: SyncError) -> Response:
    expected = getattr(error, "expected", None)
    facts: dict[str, Any] = {} if expected is None else {"expected": expected}
    if isinstance(error, RecordsRefused):
        facts["refusals"] = [asdict(one) for one in error.refusals[: error.SHOWN]]
    if isinstance(error, TooManyTries):
        return problem_response(error.code, str(error), headers={"Retry-After": str(error.wait)})
    return problem_response(error.code, str(error), **facts)


def _api_problem(error: exceptions.APIException, context: dict[str, Any]) -> Response:
    headers: dict[str, str] = {}
    if isinstance(error, exceptions.Throttled):
        headers["Retry-After"] = str(math.ceil(getattr(error, "wait", None) or 1))
        return problem_response("throttled", "Too many requests came from this address.", headers=headers)
    if isinstance(error, exceptions.ValidationError):
        fields = error.get_full_details() if isinstance(error.detail, dict) else {}
        return problem_response("invalid_request", "These members are not valid.", errors=_field_codes(fields))
    if isinstance(error, exceptions.MethodNotAllowed):
        view = context.get("view")
        headers["Allow"] = ", ".join(view.allowed_methods) if isinstance(view, APIView) else ""
    if auth_header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = auth_header
    code = _api_code(error)
    return problem_response(code, str(error.detail), status_code=error.status_code, headers=headers)


def _api_code(error: exceptions.APIException) -> str:
    if isinstance(error, exceptions.ParseError):
        return "malformed_json"
    codes = error.get_codes()
    if isinstance(codes, str) and codes in PROBLEMS:
        return codes
    return {405: "method_not_allowed", 404: "not_found", 415: "unsupported_media_type", 401: "not_authenticated"}.get(
        error.status_code, "invalid_request"
    )


def _field_codes(details: Any) -> dict[str, list[str]]:
    """Which members are wrong and how; never their values."""
    return {
        str(name): [str(one.get("code", "invalid")) for one in found if isinstance(one, dict)]
        for name, found in details.items()
        if isinstance(found, list)
    }


def _failure(error: Exception) -> Response:
    if isinstance(error, OperationalError):
        logger.warning(
            "The database was not available", extra={"error": type(error).__name__}, exc_info=without_values(error)
        )
        return problem_response(
            "server_busy", "The database did not answer in time.", headers={"Retry-After": str(BUSY_SECONDS)}
        )
    logger.error("A request failed", extra={"error": type(error).__name__}, exc_info=without_values(error))
    return problem_response(
        "internal_error",
        "Something failed on the server. Nothing was stored.",
        status_code=status.HTTP_500_INTERNAL_SERVER_ERROR,
    )
