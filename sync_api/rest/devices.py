"""Devices that upload their tables: who may register one, and what a client asks before it uploads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from audit.models import Device
from sync_api import conf
from sync_api.exceptions import NotPermitted
from sync_api.rest.device_serializers import (
    AccessGivenSerializer,
    AccessSerializer,
    AllowedTablesSerializer,
    JudgedSerializer,
    QuestionSerializer,
    RegistrationSerializer,
    SchedulesSerializer,
    StringsSerializer,
    UploadDeviceSerializer,
)
from sync_api.rest.parsers import StrictJSONParser
from sync_api.rest.people import IsUser, UserAuthentication
from sync_api.rest.views import SyncView, problem_answers
from sync_api.uploads.access import record_info, register_record, schedules_of
from sync_api.uploads.checking import single_record_of, validate_records
from sync_api.uploads.devices import (
    REGISTER,
    check_may_upload,
    find_device,
    register_device,
    require_in_group,
)
from sync_api.uploads.people import address_of
from sync_api.uploads.registry import allowed_tables, registry

NAME = OpenApiParameter("name", OpenApiTypes.STR, OpenApiParameter.PATH, description="The device's name.")
FIRST_REFUSALS = 100


class PeopleParser(StrictJSONParser):
    """A JSON object of a person's request."""

    size_limit = "SYNC_PEOPLE_BODY_BYTES_MAX"


class PeopleView(SyncView):
    """Of a user, by name and password."""

    authentication_classes = [UserAuthentication]
    permission_classes = [IsUser]
    parser_classes = [PeopleParser]

    def device(self, request: Request, name: str) -> Device:
        """The device, for a user who may upload for it or register devices of its group. Others learn nothing."""
        alias = conf.server_alias()
        device = find_device(alias, name)
        try:
            check_may_upload(alias, request.user, device)
        except NotPermitted:
            if single_record_of(alias, request.user) is not None:
                raise
            require_in_group(alias, request.user, REGISTER, device.group)
        return device


class Devices(PeopleView):
    """Register devices."""

    @extend_schema(
        operation_id="register_device",
        request=RegistrationSerializer,
        responses={201: UploadDeviceSerializer, **problem_answers(400, 401, 403, 409, 413, 415, 429)},
    )
    def post(self, request: Request) -> Response:
        """Register a device for a group of the user's, or meet it again.

        Needs the permission `sync_api.register_devices` in the group. Another group's device keeps its name.
        """
        asked = RegistrationSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        told = asked.validated_data
        device = register_device(
            conf.server_alias(),
            user=request.user,
            name=told["device"],
            friendly_name=told.get("friendly_name", ""),
            group=told.get("group", ""),
            app_version=told.get("app_version", ""),
        )
        return Response(device_facts(device), status=201)


class OneDevice(PeopleView):
    """One registered device."""

    @extend_schema(
        operation_id="registered_device",
        parameters=[NAME],
        responses={200: UploadDeviceSerializer, **problem_answers(401, 403, 404, 429)},
    )
    def get(self, request: Request, name: str) -> Response:
        """Whether the device is registered, for whom, and what the server tells its clients."""
        return Response(device_facts(self.device(request, name)))


class Tables(PeopleView):
    """What may be uploaded."""

    @extend_schema(
        operation_id="allowed_tables",
        parameters=[NAME],
        responses={200: AllowedTablesSerializer, **problem_answers(401, 403, 404, 429)},
    )
    def get(self, request: Request, name: str) -> Response:
        """The tables that take uploads, each with the oldest client version that may send it."""
        self.device(request, name)
        tables = [
            {"table": table, "model": one.table.label, "min_client_version": one.min_client_version}
            for table, one in sorted(allowed_tables().items())
        ]
        return Response({"tables": tables})


class Strings(PeopleView):
    """Texts for clients."""

    @extend_schema(
        operation_id="extra_strings",
        parameters=[NAME],
        responses={200: StringsSerializer, **problem_answers(401, 403, 404, 429)},
    )
    def get(self, request: Request, name: str) -> Response:
        """The study's texts that clients show."""
        self.device(request, name)
        shown = ("task", "name", "language", "value")
        strings = [{member: getattr(one, member) for member in shown} for one in registry.strings]
        return Response({"strings": strings})


class Schedules(PeopleView):
    """What a single-record user is asked to fill in."""

    @extend_schema(
        operation_id="task_schedules",
        parameters=[NAME],
        responses={200: SchedulesSerializer, **problem_answers(401, 403, 404, 429)},
    )
    def get(self, request: Request, name: str) -> Response:
        """The schedules of the user's record, and what is known of the record now."""
        self.device(request, name)
        alias = conf.server_alias()
        single = single_record_of(alias, request.user)
        if single is None:
            raise NotPermitted(
                user=request.user.get_username(), what="ask for a record's schedules", permission="an access key"
            )
        root = registry.root_of(single.access_key.model)
        record = record_info(alias, root, single.access_key.identity)
        return Response({"record": record, "schedules": schedules_of(alias, root, record)})


class Validation(PeopleView):
    """Ask before sending."""

    @extend_schema(
        operation_id="validate_records",
        parameters=[NAME],
        request=QuestionSerializer,
        responses={
            200: OpenApiResponse(JudgedSerializer, description="The answer; nothing is stored."),
            **problem_answers(400, 401, 403, 404, 413, 415, 429),
        },
    )
    def post(self, request: Request, name: str) -> Response:
        """Would these records be taken? The validators that a commit runs give the answer, on the same state.

        The records are laid over what the server has of the device.
        """
        device = self.device(request, name)
        asked = QuestionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        tables: Mapping[str, Any] = asked.validated_data["tables"]
        refusals = validate_records(conf.server_alias(), user=request.user, device=device, tables=tables)
        shown = [
            {"model": one.model, "key": one.key, "field": one.field, "reason": one.reason}
            for one in refusals[:FIRST_REFUSALS]
        ]
        return Response({"valid": not refusals, "refusals": shown})


class Access(SyncView):
    """Register with an access key."""

    authentication_classes = []
    permission_classes = [AllowAny]
    parser_classes = [PeopleParser]

    @extend_schema(
        operation_id="register_record",
        parameters=[NAME],
        request=AccessSerializer,
        responses={201: AccessGivenSerializer, **problem_answers(400, 403, 409, 413, 415, 429)},
    )
    def post(self, request: Request, name: str) -> Response:
        """Exchange an access key for a user and a password that are bound to this device and the key's record.

        Asked again (the answer was lost, say), the password is a new one. Wrong keys are limited per address.
        """
        asked = AccessSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        told = asked.validated_data
        given = register_record(
            conf.server_alias(),
            key=told["key"],
            device=name,
            address=address_of(request),
            friendly_name=told.get("friendly_name", ""),
            app_version=told.get("app_version", ""),
        )
        body = {
            "device": given.device.name,
            "user": given.username,
            "password": given.password,
            "model": given.root.label,
            "record": given.record,
            "schedules": given.schedules,
            "server": server_facts(),
        }
        return Response(body, status=201, headers={"Cache-Control": "no-store"})


def device_facts(device: Device) -> dict[str, Any]:
    return {
        "device": device.name,
        "friendly_name": device.friendly_name,
        "group": None if device.group is None else device.group.name,
        "kind": device.kind,
        "registered_at": device.registered_at,
        "server": server_facts(),
    }


def server_facts() -> dict[str, Any]:
    info = registry.info
    numbers = [{"which": one.which, "description": one.description, "short": one.short} for one in info.id_numbers]
    return {
        "title": info.title,
        "upload_policy": info.upload_policy,
        "finalize_policy": info.finalize_policy,
        "id_numbers": numbers,
    }
