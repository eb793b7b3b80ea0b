"""The laptop's side of a pull: a visiting relay or server sees what is sealed here and fetches the very bytes."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from sync_api import conf
from sync_api.capture.verify import require_whole_capture
from sync_api.exceptions import BatchNotHere, NoLocalDevice, VisitorRefused
from sync_api.models import LocalDevice, OutgoingBatch
from sync_api.rest.parsers import BATCH_MEDIA_TYPE
from sync_api.rest.serializers import HEX_32, HEX_64
from sync_api.rest.views import SyncView, check_query, problem_answers
from sync_api.sealing import seal

CARRIERS = frozenset({"relay", "server"})


class WaitingBatchSerializer(serializers.Serializer[Any]):
    epoch = serializers.RegexField(HEX_32)
    number = serializers.IntegerField()
    hash = serializers.RegexField(HEX_64)
    lines = serializers.IntegerField()
    size = serializers.IntegerField(help_text="Bytes.")
    held = serializers.BooleanField(help_text="The server's receipt for it is here.")


class WaitingSerializer(serializers.Serializer[Any]):
    device = serializers.CharField()
    batches = WaitingBatchSerializer(many=True)
    next = serializers.IntegerField(allow_null=True, help_text="Give it as `after` for more; null at the end.")


class Outgoing(SyncView):
    """What is sealed here and not yet in a server's verified backup."""

    @extend_schema(
        operation_id="list_outgoing",
        parameters=[OpenApiParameter("after", OpenApiTypes.INT, description="`next` of the answer before.")],
        responses={200: WaitingSerializer, **problem_answers(400, 401, 403, 503)},
    )
    def get(self, request: Request) -> Response:
        """Batches in the order of their sealing; what is pending is sealed first.

        Those that the server holds are listed too, until a verified backup contains them: it may ask for them again.
        """
        alias = conf.server_alias()
        device = visited_device(request, alias)
        after = first_after(request)
        if not after:
            require_whole_capture(alias)
            seal(alias, device.name)
        most = int(conf.limit("SYNC_PULL_BATCHES_PER_REQUEST"))
        batches = OutgoingBatch.objects.using(alias).filter(device=device, pk__gt=after).defer("content")
        secured = {"epoch": device.epoch, "number__lte": device.durable_number}
        listed = list(batches.exclude(**secured).order_by("pk")[: most + 1])
        body = {
            "device": device.name,
            "batches": [waiting_facts(batch) for batch in listed[:most]],
            "next": listed[most - 1].pk if len(listed) > most else None,
        }
        return Response(body)


class OutgoingContent(SyncView):
    """One sealed batch."""

    @extend_schema(
        operation_id="fetch_outgoing",
        responses={(200, BATCH_MEDIA_TYPE): OpenApiResponse(bytes), **problem_answers(401, 403, 404)},
    )
    def get(self, request: Request, epoch: str, number: int) -> HttpResponse:
        """The envelope's bytes, as they were sealed."""
        alias = conf.server_alias()
        device = visited_device(request, alias)
        batch = OutgoingBatch.objects.using(alias).filter(device=device, epoch=epoch, number=number).first()
        if batch is None:
            raise BatchNotHere(device=device.name, number=number)
        return HttpResponse(bytes(batch.content), content_type=BATCH_MEDIA_TYPE)


def visited_device(request: Request, alias: str) -> LocalDevice:
    """This installation's device. Raises VisitorRefused for a visitor that carries nothing for others."""
    visitor: Any = request.user
    if visitor.role not in CARRIERS:
        raise VisitorRefused(visitor=visitor.name, role=visitor.role)
    device = LocalDevice.objects.using(alias).filter(name=conf.alias_settings(alias).device).first()
    if device is None:
        raise NoLocalDevice(alias=alias)
    return device


def first_after(request: Request) -> int:
    check_query(request, "after")
    try:
        after = int(request.query_params.get("after", "0"))
    except ValueError as error:
        raise serializers.ValidationError({"after": "not a number"}, code="invalid") from error
    if not 0 <= after < 2**63:
        raise serializers.ValidationError({"after": "out of range"}, code="invalid")
    return after


def waiting_facts(batch: OutgoingBatch) -> dict[str, Any]:
    return {
        "epoch": batch.epoch,
        "number": batch.number,
        "hash": batch.hash,
        "lines": batch.lines,
        "size": batch.size,
        "held": "held" in batch.receipts,
    }
