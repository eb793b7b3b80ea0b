"""Uploads of tables over REST: an upload is a resource, and every request may be sent again with its key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import IO, Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from sync_api import conf
from sync_api.exceptions import UploadUnknown
from sync_api.failpoints import failpoint
from sync_api.models import Upload
from sync_api.rest.parsers import StrictJSONParser
from sync_api.rest.people import IsUser, UserAuthentication
from sync_api.rest.upload_serializers import (
    CommittedSerializer,
    EmptyTablesSerializer,
    KeysSerializer,
    OneStepSerializer,
    RecordSerializer,
    RowsSerializer,
    StartedSerializer,
    StartSerializer,
    StepSerializer,
    UploadSerializer,
    WantedSerializer,
    WhichKeysSerializer,
)
from sync_api.rest.views import SyncView, problem_answers
from sync_api.uploads import operations
from sync_api.uploads.devices import find_device
from sync_api.uploads.opening import find_upload

KEY_HEADER = "Idempotency-Key"
REFUSALS = problem_answers(400, 401, 403, 404, 409, 413, 415, 503)
KEY = OpenApiParameter(
    KEY_HEADER,
    str,
    OpenApiParameter.HEADER,
    description="Sent again with the same key, a request changes nothing and gets the stored answer.",
)
TABLE = OpenApiParameter("table", str, OpenApiParameter.PATH, description="`db_table` of the model, or its label.")


class UploadParser(StrictJSONParser):
    """A JSON object with rows; its SHA-256 is kept with the request."""

    size_limit = "SYNC_UPLOAD_BODY_BYTES_MAX"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        hashing: Any = Hashing(stream)
        value = super().parse(hashing, media_type, parser_context)
        if parser_context is not None:
            parser_context["request"].body_hash = hashing.digest
        return value


class Hashing:
    """A stream that is read once, and its hash."""

    def __init__(self, stream: IO[Any]) -> None:
        self.stream = stream
        self.digest = ""

    def read(self, size: int) -> bytes:
        body = bytes(self.stream.read(size))
        self.digest = hashlib.sha256(body).hexdigest()
        return body


class UploadView(SyncView):
    """A person uploads, with name and password; the device is named in the request or with the upload."""

    authentication_classes = [UserAuthentication]
    permission_classes = [IsUser]
    parser_classes = [UploadParser]

    def told(self, request: Request, serializer: type[Any]) -> dict[str, Any]:
        """The members of the body, checked but for the rows, which the operations check."""
        body = request.data if isinstance(request.data, dict) else {}
        checked = serializer(data=body)
        if unknown := set(body) - set(checked.fields):
            raise ValidationError({str(name)[:50]: "not known" for name in sorted(unknown)}, code="unknown")
        checked.is_valid(raise_exception=True)
        return dict(checked.validated_data) | {name: body[name] for name in checked.as_sent if name in body}

    def do(self, operation: Callable[..., operations.Reply], request: Request, status: int, **facts: Any) -> Response:
        """Do it; 200 for a stored answer."""
        reply = operation(conf.server_alias(), user=request.user, key=request.headers.get(KEY_HEADER, ""), **facts)
        failpoint("upload.before_answer")
        return Response(reply.body, status=200 if reply.is_repeated else status)


class Uploads(UploadView):
    """Begin an upload."""

    @extend_schema(
        operation_id="start_upload",
        parameters=[KEY],
        request=StartSerializer,
        responses={200: StartedSerializer, 201: StartedSerializer, **REFUSALS},
    )
    def post(self, request: Request) -> Response:
        """Open an upload of a device's tables, step by step. What the device has open is rolled back."""
        told = self.told(request, StartSerializer)
        device = find_device(conf.server_alias(), told.pop("device"))
        return self.do(operations.start_upload, request, 201, device=device, **told)


class OneStep(UploadView):
    """Upload everything at once."""

    @extend_schema(
        operation_id="upload_entire_database",
        parameters=[KEY],
        request=OneStepSerializer,
        responses={200: CommittedSerializer, 201: CommittedSerializer, **REFUSALS},
    )
    def post(self, request: Request) -> Response:
        """All tables of a device, committed as a whole or not at all. A table that is left out counts as empty."""
        told = self.told(request, OneStepSerializer)
        device = find_device(conf.server_alias(), told.pop("device"))
        body_hash = getattr(request, "body_hash", "")
        return self.do(operations.upload_entire_database, request, 201, device=device, request_hash=body_hash, **told)


class OneUpload(UploadView):
    """One upload of the asking user."""

    @extend_schema(operation_id="upload", responses={200: UploadSerializer, **problem_answers(401, 404)})
    def get(self, request: Request, upload: str) -> Response:
        """Its state, and the answer to its commit if it is committed."""
        found = find_upload(conf.server_alias(), upload)
        if found is None or found.user != request.user.get_username():
            raise UploadUnknown(upload=upload)
        return Response(facts_of(found))


class Preservation(UploadView):
    """Preserve everything with this upload."""

    @extend_schema(
        operation_id="start_preservation", parameters=[KEY], request=None, responses={200: StepSerializer, **REFUSALS}
    )
    def post(self, request: Request, upload: str) -> Response:
        """When the upload is committed, all records of the device leave the era NOW."""
        return self.do(operations.start_preservation, request, 200, upload=upload)


class EmptyTables(UploadView):
    """Say which tables are empty."""

    @extend_schema(
        operation_id="upload_empty_tables",
        parameters=[KEY],
        request=EmptyTablesSerializer,
        responses={200: StepSerializer, **REFUSALS},
    )
    def post(self, request: Request, upload: str) -> Response:
        """These tables hold nothing on the device."""
        told = self.told(request, EmptyTablesSerializer)
        return self.do(operations.upload_empty_tables, request, 200, upload=upload, **told)


class Table(UploadView):
    """Send one table."""

    @extend_schema(
        operation_id="upload_table",
        parameters=[KEY, TABLE],
        request=RowsSerializer,
        responses={200: StepSerializer, **REFUSALS},
    )
    def post(self, request: Request, upload: str, table: str) -> Response:
        """All rows of one table: those not listed are deleted."""
        told = self.told(request, RowsSerializer)
        return self.do(operations.upload_table, request, 200, upload=upload, table=table, **told)


class Record(UploadView):
    """Send one record."""

    @extend_schema(
        operation_id="upload_record",
        parameters=[KEY, TABLE],
        request=RecordSerializer,
        responses={200: StepSerializer, **REFUSALS},
    )
    def post(self, request: Request, upload: str, table: str) -> Response:
        """One row of a table; the others stay as they are."""
        told = self.told(request, RecordSerializer)
        return self.do(operations.upload_record, request, 200, upload=upload, table=table, **told)


class WhichKeys(UploadView):
    """Ask which records to send."""

    @extend_schema(
        operation_id="which_keys_to_send",
        parameters=[KEY, TABLE],
        request=WhichKeysSerializer,
        responses={200: WantedSerializer, **REFUSALS},
    )
    def post(self, request: Request, upload: str, table: str) -> Response:
        """Given all keys of a table with their modification times: those to send. Records not listed are deleted."""
        told = {"modified": None, **self.told(request, WhichKeysSerializer)}
        return self.do(operations.which_keys_to_send, request, 200, upload=upload, table=table, **told)


class OtherKeys(UploadView):
    """Say which records are left."""

    @extend_schema(
        operation_id="delete_where_key_not",
        parameters=[KEY, TABLE],
        request=KeysSerializer,
        responses={200: StepSerializer, **REFUSALS},
    )
    def post(self, request: Request, upload: str, table: str) -> Response:
        """Records of the table with other keys than these are deleted."""
        told = self.told(request, KeysSerializer)
        return self.do(operations.delete_where_key_not, request, 200, upload=upload, table=table, **told)


class Commit(UploadView):
    """End an upload."""

    @extend_schema(
        operation_id="end_upload", parameters=[KEY], request=None, responses={200: CommittedSerializer, **REFUSALS}
    )
    def post(self, request: Request, upload: str) -> Response:
        """Commit it as a whole. Asked again, the same answer."""
        return self.do(operations.end_upload, request, 200, upload=upload)


class RollBack(UploadView):
    """Give an upload up."""

    @extend_schema(
        operation_id="roll_back_upload", parameters=[KEY], request=None, responses={200: StepSerializer, **REFUSALS}
    )
    def post(self, request: Request, upload: str) -> Response:
        """What it has staged goes; nothing else changes."""
        return self.do(operations.roll_back, request, 200, upload=upload)


def facts_of(upload: Upload) -> dict[str, Any]:
    return {
        "upload": str(upload.pk),
        "device": upload.device.name,
        "state": upload.state,
        "preserving": upload.is_preserving,
        "started_at": upload.started_at.isoformat(),
        "ended_at": None if upload.ended_at is None else upload.ended_at.isoformat(),
        "why": upload.ended_why,
        "code": upload.code,
        "reply": upload.reply,
        "refusals": upload.refusals,
    }
