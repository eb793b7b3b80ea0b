"""The laptop's signed manifest of a day, for a visiting relay or server."""

from __future__ import annotations

import orjson
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request

from sync_api import conf
from sync_api.exceptions import DayInvalid
from sync_api.reconciliation.chosen import read_day
from sync_api.reconciliation.manifest import MANIFEST_TYPE, make_manifest
from sync_api.rest.outgoing import visited_device
from sync_api.rest.views import SyncView, check_query, problem_answers


class DayManifest(SyncView):
    """What this laptop recorded on a day."""

    @extend_schema(
        operation_id="day_manifest",
        parameters=[OpenApiParameter("day", OpenApiTypes.DATE, description="Default: today, by the laptop's clock.")],
        responses={(200, MANIFEST_TYPE): OpenApiResponse(bytes), **problem_answers(400, 401, 403)},
    )
    def get(self, request: Request) -> HttpResponse:
        """Of each record of the models to reconcile: its last change of that day, with the hash of its content.

        Signed by the laptop. Only for relays and servers.
        """
        alias = conf.server_alias()
        visited_device(request, alias)
        check_query(request, "day")
        day = request.query_params.get("day")
        if day == "":  # asked for, and not a day
            raise DayInvalid(day=day)
        manifest = make_manifest(alias, read_day(day or ""))
        return HttpResponse(orjson.dumps(manifest), content_type=MANIFEST_TYPE, headers={"Cache-Control": "no-store"})
