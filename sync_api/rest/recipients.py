"""To whom the devices of this server may seal payloads."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from sync_api import conf
from sync_api.recipients.lists import recipient_list
from sync_api.rest.serializers import RecipientListSerializer
from sync_api.rest.views import SyncView, problem_answers


class Recipients(SyncView):
    """The server's signed list of recipients."""

    @extend_schema(operation_id="recipients", responses={200: RecipientListSerializer, **problem_answers(401, 403)})
    def get(self, request: Request) -> Response:
        """The public keys of this server and of those it knows, signed with its own key."""
        return Response(recipient_list(conf.server_alias()))
