"""The REST interface. It stores batches and never applies them; every error is a problem+json."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import orjson
from django.db import transaction
from django.utils import timezone
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from audit.models import Device
from sync_api import conf
from sync_api.enrolment.registration import enrol_device, server_identity
from sync_api.enrolment.requests import read_request
from sync_api.exceptions import DeviceUnknown, MalformedEnvelope, NotEnrolled, RecipientKeyFileBroken
from sync_api.failpoints import failpoint
from sync_api.fleet import take_heartbeat
from sync_api.fleet.facts import now
from sync_api.inbox import head_receipt
from sync_api.models import IncomingEpoch, ParkedUnit
from sync_api.recipients.lists import newer_list
from sync_api.rest import problems
from sync_api.rest.authentication import IsDevice, TokenAuthentication
from sync_api.rest.batches import take_batch
from sync_api.rest.parsers import BATCH_MEDIA_TYPE, AlwaysJSON, BatchParser, StrictJSONParser
from sync_api.rest.serializers import (
    AcceptedSerializer,
    DeviceSerializer,
    EnrolledSerializer,
    EnrolmentRequestSerializer,
    ProblemSerializer,
    ServerSerializer,
)
from sync_api.trust import own_certificate
from sync_api.trust.handing_on import settled_receipts
from sync_api.trust.visits import new_nonce

KNOWN_RECIPIENTS = OpenApiParameter(
    "X-Sync-Recipients",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Of a device that seals payloads: the digest of the list of recipients that it knows; where it is "
    "another one now, the answer has `recipients`.",
)


EARLIER_RECEIPT = OpenApiParameter(
    "X-Sync-Receipt",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="With a batch that is sent again: the receipt, as JSON, that this server once gave for it. It takes "
    "its own word where it has lost the batch since and its device's key was revoked.",
)
RECEIPT_CHARACTERS_MAX = 4_000


def problem_answers(*statuses: int) -> dict[Any, Any]:
    """For the OpenAPI description: these statuses answer with a problem."""
    return {
        (status, problems.CONTENT_TYPE): OpenApiResponse(ProblemSerializer, description="A problem; see `code`.")
        for status in statuses
    }


SEEN_AGAIN = timedelta(seconds=1)


class SyncView(APIView):
    """Settings of all views, so that a foreign project's REST_FRAMEWORK settings do not matter."""

    authentication_classes = [TokenAuthentication]
    permission_classes = [IsDevice]
    parser_classes = [StrictJSONParser]
    renderer_classes = [JSONRenderer]
    throttle_classes = []
    content_negotiation_class = AlwaysJSON
    versioning_class = None
    schema = AutoSchema()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """The heartbeat is taken before the body is read, which may take minutes on a slow road."""
        received_at = now(conf.server_alias())
        super().initial(request, *args, **kwargs)
        heartbeat = request.headers.get("X-Sync-Heartbeat")
        if heartbeat and request.auth is not None:
            user: Any = request.user
            take_heartbeat(conf.server_alias(), heartbeat, brought_by=user.name, received_at=received_at)

    def get_exception_handler(self) -> Any:
        return problems.handle_exception


class EnrolmentThrottle(SimpleRateThrottle):
    """Attempts per address and minute (`SYNC_ENROL_ATTEMPTS_PER_MINUTE_MAX`), kept in Django's cache."""

    scope = "sync_enrolment"

    def get_rate(self) -> str:
        return f"{conf.limit('SYNC_ENROL_ATTEMPTS_PER_MINUTE_MAX')}/min"

    def get_ident(self, request: Request) -> str:
        """X-Forwarded-For counts only where REST_FRAMEWORK["NUM_PROXIES"] says who wrote it."""
        if api_settings.NUM_PROXIES is None:
            return str(request.META.get("REMOTE_ADDR", ""))
        return str(super().get_ident(request))

    def get_cache_key(self, request: Request, view: APIView) -> str:
        return f"{self.scope}:{self.get_ident(request)}"


class Enrolments(SyncView):
    """Enrol a device with its one-time code."""

    authentication_classes = []
    permission_classes = [AllowAny]
    throttle_classes = [EnrolmentThrottle]

    @extend_schema(
        operation_id="enrol",
        request=EnrolmentRequestSerializer,
        responses={201: EnrolledSerializer, **problem_answers(400, 403, 409, 413, 415, 429)},
    )
    def post(self, request: Request) -> Response:
        """Exchange a one-time code for a certificate and a token.

        The request is signed with the device's key. The same key may ask again while the code is valid.
        """
        serializer = EnrolmentRequestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        enrolled = enrol_device(conf.server_alias(), read_request(dict(serializer.validated_data)))
        return Response(enrolled, status=201, headers={"Cache-Control": "no-store"})


class Batches(SyncView):
    """Take one sealed batch."""

    parser_classes = [BatchParser]
    statuses: ClassVar[dict[str, int]] = {"held": 201, "duplicate": 200, "early": 202}

    @extend_schema(
        operation_id="send_batch",
        parameters=[KNOWN_RECIPIENTS, EARLIER_RECEIPT],
        request={BATCH_MEDIA_TYPE: bytes},
        responses={
            200: OpenApiResponse(AcceptedSerializer, description="Held before: the same receipt again."),
            201: OpenApiResponse(AcceptedSerializer, description="Held now."),
            202: OpenApiResponse(AcceptedSerializer, description="Early: kept until batch `expected` arrives."),
            **problem_answers(400, 401, 403, 409, 413, 415, 503, 507),
        },
    )
    def post(self, request: Request) -> Response:
        """Store a sealed batch, exactly once.

        The body is the envelope's bytes. The answer's receipt is the server's signed word that it holds the batch;
        a middleman's has `first` and is its word that it carries the batches from there.
        """
        if not isinstance(request.data, bytes):
            raise MalformedEnvelope(what="the body is empty")
        bringer: Any = request.user
        alias = conf.server_alias()
        receipt = told_receipt(request)
        body = take_batch(alias, request.data, handed_over_by=bringer.name, role=bringer.role, receipt=receipt)
        body |= newer_recipients(alias, request)
        seen(bringer)
        failpoint("accept.before_answer")
        return Response(body, status=self.statuses[body["state"]])


class OwnDevice(SyncView):
    """What the server holds of the asking device."""

    @extend_schema(
        operation_id="own_device",
        parameters=[KNOWN_RECIPIENTS],
        responses={200: DeviceSerializer, **problem_answers(401, 403)},
    )
    def get(self, request: Request) -> Response:
        """Heads and receipts per epoch, how far it is applied, and how much is set aside."""
        alias = conf.server_alias()
        device = registered(request)
        seen(device)
        parked = ParkedUnit.objects.using(alias).filter(device=device, state=ParkedUnit.State.PARKED).count()
        epochs = IncomingEpoch.objects.using(alias).filter(device=device).order_by("ordinal")
        body = {
            "device": device.name,
            "role": device.role,
            "server": server_identity(alias),
            "epochs": [epoch_facts(alias, device, epoch) for epoch in epochs],
            "parked": parked,
            **newer_recipients(alias, request),
        }
        return Response(body)


class Server(SyncView):
    """Which installation this is."""

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(operation_id="server", responses={200: ServerSerializer})
    def get(self, request: Request) -> Response:
        """Its name, public key, role, certificate and clock, and a nonce for a visit."""
        alias = conf.server_alias()
        body = {
            **server_identity(alias),
            "role": conf.alias_settings(alias).role,
            "certificate": certificate_or_none(alias),
            "time": timezone.now().isoformat(),
            "nonce": new_nonce(alias),
        }
        return Response(body, headers={"Cache-Control": "no-store"})


@extend_schema(exclude=True)
class Nothing(SyncView):
    """Any other address below: a problem in JSON, not a page in HTML."""

    authentication_classes = []
    permission_classes = [AllowAny]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise NotFound("There is nothing at this address.")


def certificate_or_none(alias: str) -> dict[str, Any] | None:
    """This installation's certificate; None before it enrolled."""
    try:
        return own_certificate(alias)
    except NotEnrolled:
        return None


def check_query(request: Request, *known: str) -> None:
    """Nothing but these in the query: a misspelt name would quietly ask for something else. ValidationError."""
    if unknown := set(request.query_params) - set(known):
        raise ValidationError({str(name)[:50]: "not known" for name in unknown}, code="unknown")


def newer_recipients(alias: str, request: Request) -> dict[str, Any]:
    """The member `recipients` of an answer, where the device says that it knows another list."""
    try:
        newer = newer_list(alias, request.headers.get("X-Sync-Recipients"))
    except RecipientKeyFileBroken:  # told where the list itself is asked for; what was sent is taken all the same
        newer = None
    return {} if newer is None else {"recipients": newer}


def told_receipt(request: Request) -> dict[str, Any] | None:
    """This server's earlier word about a batch, as its bringer tells it. What is none proves nothing, and is no
    error."""
    try:
        told = orjson.loads(request.headers.get("X-Sync-Receipt", "null")[:RECEIPT_CHARACTERS_MAX])
    except orjson.JSONDecodeError:
        return None
    is_flat = isinstance(told, dict) and all(isinstance(value, str | int) for value in told.values())
    return told if is_flat else None


def registered(request: Request) -> Device:
    """The asking device as it is registered here; a visitor of a relay is not. Raises DeviceUnknown."""
    device: Any = request.user
    if not isinstance(device, Device):
        raise DeviceUnknown(device=device.name)
    return device


def epoch_facts(alias: str, device: Device, epoch: IncomingEpoch) -> dict[str, Any]:
    receipt = head_receipt(alias, device, epoch)
    settled = settled_receipts(alias, device.name, epoch.epoch)
    return {
        "epoch": epoch.epoch,
        "ordinal": epoch.ordinal,
        "head_number": epoch.head_number,
        "head_hash": epoch.head_hash,
        "consumed_number": epoch.consumed_number,
        "receipts": [*([] if receipt is None else [receipt]), *settled],
    }


def seen(device: Any) -> None:
    """Note that the device was here, if it is registered; skipped while a consumer holds its row.

    Once a second is enough: a push of many batches writes it, and waits for the disk, no more often. Opens its own
    transaction.
    """
    if not isinstance(device, Device):
        return
    alias = conf.server_alias()
    here = timezone.now()
    if device.last_seen_at is not None and timedelta(0) <= here - device.last_seen_at < SEEN_AGAIN:
        return
    free = Device.objects.using(alias).select_for_update(skip_locked=True, no_key=True).filter(pk=device.pk)
    with transaction.atomic(using=alias):
        Device.objects.using(alias).filter(pk__in=free.values("pk")).update(last_seen_at=here)
