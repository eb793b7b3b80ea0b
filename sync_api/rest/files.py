"""Files: which are missing here, and their bytes by tus 1.0 (https://tus.io/protocols/resumable-upload, version 1.0.0).

Creation, HEAD, PATCH, and the extensions checksum, expiration and termination. An upload is for one content that a
record here declares; `Upload-Metadata` names it: `sha256 BASE64-OF-THE-HEX-DIGITS`. A file's name is never asked.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.urls import reverse
from django.utils.http import http_date
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response

from sync_api import conf
from sync_api.exceptions import FileUploadMetadataInvalid, TusVersionUnsupported
from sync_api.files.outgoing import outgoing_content, outgoing_files
from sync_api.files.store import ContentStore
from sync_api.files.uploads import (
    ALGORITHMS,
    Bringer,
    Checksum,
    append,
    begin,
    missing,
    offset_of,
    own_upload,
    terminate,
)
from sync_api.models import FileUpload
from sync_api.rest.outgoing import first_after, visited_device
from sync_api.rest.parsers import StatementsParser
from sync_api.rest.serializers import HEX_64
from sync_api.rest.views import SyncView, problem_answers
from sync_api.wire.header import HEX64

TUS = "1.0.0"
EXTENSIONS = "creation,checksum,expiration,termination"
CHUNK_TYPE = "application/offset+octet-stream"
OVERRIDES = frozenset({"PATCH", "DELETE", "HEAD"})
OCTETS = "application/octet-stream"


class AskedSerializer(serializers.Serializer[Any]):
    sha256 = serializers.ListField(child=serializers.RegexField(HEX_64), allow_empty=True)


class MissingFileSerializer(serializers.Serializer[Any]):
    sha256 = serializers.RegexField(HEX_64)
    size = serializers.IntegerField(help_text="Bytes, as the record declares.")
    upload = serializers.CharField(allow_null=True, help_text="Address of your upload of it, if you began one.")
    offset = serializers.IntegerField(help_text="Bytes of that upload that are here.")


class MissingSerializer(serializers.Serializer[Any]):
    missing = MissingFileSerializer(many=True)
    undeclared = serializers.ListField(child=serializers.RegexField(HEX_64))


class MissingFiles(SyncView):
    """Which files' bytes are wanted here."""

    parser_classes = [StatementsParser]

    @extend_schema(
        operation_id="missing_files",
        request=AskedSerializer,
        responses={200: MissingSerializer, **problem_answers(400, 401, 403, 413, 415, 503)},
    )
    def post(self, request: Request) -> Response:
        """Of these contents, those that records here declare and whose bytes are not here; smallest first.

        What is in neither list is here. `undeclared` has those that no record here declares (of this device, unless
        a middleman or a server asks).
        """
        serializer = AskedSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        hashes = list(dict.fromkeys(serializer.validated_data["sha256"]))
        if len(hashes) > int(conf.limit("SYNC_FILES_PER_REQUEST_MAX")):
            raise serializers.ValidationError({"sha256": "too many"}, code="max_length")
        asked = missing(conf.server_alias(), bringer(request), hashes)
        found = [{**one, "upload": one["upload"] and address_of(one["upload"])} for one in asked.missing]
        return Response({"missing": found, "undeclared": asked.undeclared})


def bringer(request: Request) -> Bringer:
    user: Any = request.user
    return Bringer(user.name, user.role)


def address_of(upload_id: str) -> str:
    return reverse("sync_api:file_upload", args=[upload_id])


class TusView(SyncView):
    """What all of tus's addresses have in common."""

    tus_headers: ClassVar[dict[str, str]] = {"Tus-Resumable": TUS, "Cache-Control": "no-store"}

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        override = request.headers.get("X-HTTP-Method-Override", "").upper()
        if request.method == "POST" and override in OVERRIDES:
            request.method = override
        response = super().dispatch(request, *args, **kwargs)
        for name, value in self.tus_headers.items():
            response.headers.setdefault(name, value)
        return response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method != "OPTIONS" and request.headers.get("Tus-Resumable") != TUS:
            raise TusVersionUnsupported

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """What this server can do."""
        headers = {
            "Tus-Version": TUS,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(int(conf.limit("SYNC_FILE_BYTES_MAX"))),
            "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        }
        return Response(status=204, headers=headers)

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        if response.status_code == 412:
            response.headers["Tus-Version"] = TUS
        return response


@extend_schema(exclude=True)
class Uploads(TusView):
    """Begin an upload (creation)."""

    def post(self, request: Request) -> Response:
        sha256, size = wanted(request)
        upload = begin(conf.server_alias(), bringer(request), sha256=sha256, size=size)
        headers = {"Location": request.build_absolute_uri(address_of(upload.pk)), "Upload-Offset": "0"}
        return Response(status=201, headers={**headers, **expires(upload)})


@extend_schema(exclude=True)
class OneUpload(TusView):
    """Ask, continue or end an upload."""

    def head(self, request: Request, upload_id: str) -> Response:
        upload = self.upload(request, upload_id)
        offset = offset_of(conf.server_alias(), upload)
        headers = {"Upload-Offset": str(offset), "Upload-Length": str(upload.size), **expires(upload)}
        return Response(status=200, headers=headers)

    def patch(self, request: Request, upload_id: str) -> Response:
        if (request.content_type or "").split(";")[0].strip().lower() != CHUNK_TYPE:
            raise UnsupportedMediaType(str(request.content_type))
        upload = self.upload(request, upload_id)
        checksum = request.headers.get("Upload-Checksum")
        offset = append(
            conf.server_alias(),
            upload,
            offset=whole_number(request, "Upload-Offset"),
            length=whole_number(request, "Content-Length"),
            read=request._request.read,
            checksum=None if checksum is None else Checksum.read(checksum),
        )
        return Response(status=204, headers={"Upload-Offset": str(offset), **expires(upload)})

    def delete(self, request: Request, upload_id: str) -> Response:
        terminate(conf.server_alias(), self.upload(request, upload_id))
        return Response(status=204)

    def upload(self, request: Request, upload_id: str) -> FileUpload:
        return own_upload(conf.server_alias(), bringer(request), upload_id)


def expires(upload: FileUpload) -> dict[str, str]:
    if upload.state != FileUpload.State.OPEN:
        return {}
    return {"Upload-Expires": http_date(upload.expires_at.timestamp())}


def whole_number(request: Request, name: str) -> int:
    """A header's number. FileUploadMetadataInvalid."""
    text = request.headers.get(name, "")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise FileUploadMetadataInvalid(what=f"the header {name} is not a number")
    return int(text)


def wanted(request: Request) -> tuple[str, int]:
    """Hash and size of what a creation request brings. FileUploadMetadataInvalid."""
    size = whole_number(request, "Upload-Length")
    for pair in request.headers.get("Upload-Metadata", "").split(","):
        name, _, value = pair.strip().partition(" ")
        if name != "sha256":
            continue
        try:
            sha256 = base64.b64decode(value.strip(), validate=True).decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            break
        if HEX64.fullmatch(sha256):
            return sha256, size
        break
    raise FileUploadMetadataInvalid(what="Upload-Metadata has no `sha256` with 64 hex digits in base64")


class OutgoingFileSerializer(serializers.Serializer[Any]):
    sha256 = serializers.RegexField(HEX_64)
    size = serializers.IntegerField()


class OutgoingFilesSerializer(serializers.Serializer[Any]):
    device = serializers.CharField()
    files = OutgoingFileSerializer(many=True)
    next = serializers.IntegerField(allow_null=True, help_text="Give it as `after` for more; null at the end.")


class OutgoingFiles(SyncView):
    """Files of this device's records whose bytes its server does not hold yet."""

    @extend_schema(
        operation_id="list_outgoing_files",
        responses={200: OutgoingFilesSerializer, **problem_answers(400, 401, 403, 503)},
    )
    def get(self, request: Request) -> Response:
        """In the order in which they were told of. Files of sealed models are never among them."""
        alias = conf.server_alias()
        device = visited_device(request, alias)
        page = outgoing_files(alias, device, after=first_after(request))
        return Response({"device": device.name, "files": page.files, "next": page.next})


class OutgoingFile(SyncView):
    """The bytes of one such file."""

    @extend_schema(
        operation_id="fetch_outgoing_file",
        responses={(200, OCTETS): bytes, (206, OCTETS): bytes, **problem_answers(401, 403, 404, 500)},
    )
    def get(self, request: Request, sha256: str) -> HttpResponseBase:
        """All bytes, or those from a place on (`Range: bytes=N-`)."""
        alias = conf.server_alias()
        visited_device(request, alias)
        size = outgoing_content(alias, sha256)
        store = ContentStore(alias)
        first = first_byte(request, size)
        length = {"Content-Length": str(size - first), "Accept-Ranges": "bytes"}
        if not first:
            return StreamingHttpResponse(store.read(sha256), content_type=OCTETS, headers=length)
        headers = {**length, "Content-Range": f"bytes {first}-{size - 1}/{size}"}
        return StreamingHttpResponse(read_from(store, sha256, first), 206, content_type=OCTETS, headers=headers)


def first_byte(request: Request, size: int) -> int:
    """Where an open-ended range begins; 0 for any other wish, which is answered with all bytes (RFC 9110, 14.2)."""
    unit, _, wish = request.headers.get("Range", "").partition("=")
    first, dash, last = wish.partition("-")
    if unit.strip() != "bytes" or dash != "-" or last or not first.isascii() or not first.isdigit() or len(first) > 18:
        return 0
    return int(first) if int(first) < size else 0


def read_from(store: ContentStore, sha256: str, first: int) -> Iterator[bytes]:
    size = int(conf.limit("SYNC_FILE_CHUNK_BYTES"))
    with store.open(sha256) as file:
        file.seek(first)
        while chunk := file.read(size):
            yield chunk
