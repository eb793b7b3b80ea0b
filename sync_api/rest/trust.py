"""Visits and statements: who may speak with this installation, and the signed words that pass through it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from audit.models import Device
from sync_api import conf
from sync_api.enrolment.adoption import adopt
from sync_api.exceptions import TooManyStatements
from sync_api.fleet import keep_own_heartbeat
from sync_api.rest.parsers import StatementsParser
from sync_api.rest.serializers import (
    PassSerializer,
    StatementsBroughtSerializer,
    StatementsSerializer,
    StatementsTakenSerializer,
    VisitRequestSerializer,
)
from sync_api.rest.views import EnrolmentThrottle, SyncView, certificate_or_none, check_query, problem_answers
from sync_api.transactions import immediate
from sync_api.trust import take_statements
from sync_api.trust.handing_on import page_of_statements
from sync_api.trust.visits import begin_visit
from sync_api.wire.header import DEVICE

CARRIERS = (Device.Role.RELAY, Device.Role.SERVER)


class VisitThrottle(EnrolmentThrottle):
    """Attempts per address and minute (`SYNC_VISITS_PER_MINUTE_MAX`), kept in Django's cache."""

    scope = "sync_visit"

    def get_rate(self) -> str:
        return f"{conf.limit('SYNC_VISITS_PER_MINUTE_MAX')}/min"


class Visits(SyncView):
    """Give a certified device a pass."""

    authentication_classes = []
    permission_classes = [AllowAny]
    throttle_classes = [VisitThrottle]

    @extend_schema(
        operation_id="visit",
        request=VisitRequestSerializer,
        responses={201: PassSerializer, **problem_answers(400, 403, 409, 413, 415, 429)},
    )
    def post(self, request: Request) -> Response:
        """Exchange a certificate, and a signed nonce of `GET server`, for a short-lived token.

        The signature is over the heading `syncserver-visit-1` and a zero byte, then the canonical JSON of `device`,
        `public_key`, `server` and `server_key` (this installation's name and key, from its certificate), `address`
        (as in the body) and `nonce`. A nonce is good once.
        """
        serializer = VisitRequestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        alias = conf.server_alias()
        given = begin_visit(alias, dict(serializer.validated_data), addresses=own_addresses(request))
        if conf.alias_settings(alias).role == Device.Role.SERVER:
            with immediate(alias):
                adopt(alias, given.visit.certificate)
        body = {
            "token": given.token,
            "ends_at": given.visit.ends_at.isoformat(),
            "certificate": certificate_or_none(alias),
        }
        return Response(body, status=201, headers={"Cache-Control": "no-store"})


def own_addresses(request: Request) -> frozenset[str]:
    """Where this installation is reached: as SYNC_ADDRESSES says, else as this request's Host header says."""
    return frozenset(conf.addresses() or [request.get_host().lower()])


class Statements(SyncView):
    """Signed statements, to and fro."""

    parser_classes = [StatementsParser]

    @extend_schema(
        operation_id="read_statements",
        parameters=[
            OpenApiParameter("after", OpenApiTypes.STR, description="`next` of the answer before."),
            OpenApiParameter("device", OpenApiTypes.STR, many=True, description="Only about these; may be repeated."),
        ],
        responses={200: StatementsSerializer, **problem_answers(400, 401, 403)},
    )
    def get(self, request: Request) -> Response:
        """What this installation has to hand on: about the asking client itself, or, to a relay or server, about all.

        A page holds whole devices in the order of their names, up to SYNC_STATEMENTS_PER_REQUEST_MAX statements.
        """
        if not request.query_params.get("after"):
            keep_own_heartbeat(conf.server_alias())
        check_query(request, "after", "device")
        asking: Any = request.user
        devices: list[str] | None = request.query_params.getlist("device") or None
        if devices and not all(map(DEVICE.fullmatch, devices)):
            raise ValidationError({"device": "no device's name"}, code="invalid")
        if asking.role not in CARRIERS:
            devices = [asking.name]
        statements, following = page_of_statements(
            conf.server_alias(), devices, after=request.query_params.get("after", "")
        )
        return Response({"statements": statements, "next": following})

    @extend_schema(
        operation_id="bring_statements",
        request=StatementsBroughtSerializer,
        responses={200: StatementsTakenSerializer, **problem_answers(400, 401, 403, 413, 415)},
    )
    def post(self, request: Request) -> Response:
        """Take statements: from a client those about itself, from a relay or server any.

        Each stands for itself: one that is not believed is counted under its code and left out.
        """
        bringer: Any = request.user
        statements = dict(request.data).get("statements")
        most = int(conf.limit("SYNC_STATEMENTS_PER_REQUEST_MAX"))
        if not isinstance(statements, list) or len(statements) > most:
            raise TooManyStatements(statements_max=most)
        allowed = [statement for statement in statements if may_bring(bringer, statement)]
        taken = take_statements(conf.server_alias(), allowed, via=f"{bringer.name}, REST")
        foreign = len(statements) - len(allowed)
        refused = {**taken.refused, **({"not_yours": foreign} if foreign else {})}
        return Response({"taken": taken.new, "known": taken.known, "refused": refused})


def may_bring(user: Any, statement: Any) -> bool:
    about = statement.get("device") if isinstance(statement, dict) else None
    return user.role in CARRIERS or about == user.name
