"""The one address of the wire. Which operation is asked for stands in the form."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt

from sync_api import conf
from sync_api.compat.camcops import identity, uploading
from sync_api.compat.camcops.asked import Asked
from sync_api.compat.camcops.replies import Reply, failed, succeeded
from sync_api.compat.camcops.request import read_fields
from sync_api.discreet import without_values
from sync_api.exceptions import SyncError, WireMalformed

logger = logging.getLogger(__name__)


class Operation(NamedTuple):
    """What is done, and what must be known before: nothing, a user, or a user who may upload for the device."""

    act: Callable[[Asked], Reply]
    needs: str


NOBODY, USER, UPLOADER = "nobody", "user", "uploader"

OPERATIONS: dict[str, Operation] = {
    "check_device_registered": Operation(identity.check_device_registered, NOBODY),
    "register_patient": Operation(identity.register_patient, NOBODY),
    "get_task_schedules": Operation(identity.get_task_schedules, NOBODY),
    "register": Operation(identity.register, USER),
    "get_id_info": Operation(identity.get_id_info, USER),
    "get_extra_strings": Operation(identity.get_extra_strings, USER),
    "get_allowed_tables": Operation(identity.get_allowed_tables, USER),
    "check_upload_user_and_device": Operation(identity.check_upload_user_and_device, UPLOADER),
    "validate_patients": Operation(identity.validate_patients, UPLOADER),
    "start_upload": Operation(uploading.start_upload, UPLOADER),
    "start_preservation": Operation(uploading.start_preservation, UPLOADER),
    "upload_empty_tables": Operation(uploading.upload_empty_tables, UPLOADER),
    "upload_table": Operation(uploading.upload_table, UPLOADER),
    "upload_record": Operation(uploading.upload_record, UPLOADER),
    "which_keys_to_send": Operation(uploading.which_keys_to_send, UPLOADER),
    "delete_where_key_not": Operation(uploading.delete_where_key_not, UPLOADER),
    "end_upload": Operation(uploading.end_upload, UPLOADER),
    "upload_entire_database": Operation(uploading.upload_entire_database, UPLOADER),
}
"""Source: the seed, class Operations. `nobody` means that the operation asks for its own proof, an access key."""


@csrf_exempt
def camcops(request: HttpRequest) -> HttpResponse:
    """Answer one request of the wire. Credentials come with each, so no cookie is looked at and none is set."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        asked = Asked(conf.server_alias(), read_fields(request))
        return succeeded(performed(asked))
    except SyncError as error:
        return failed(str(error), code=error.code)
    except OperationalError as error:
        logger.warning("The database was not available", exc_info=without_values(error))
        return failed("The server is busy. Try again in a moment.", code="server_busy", status=503)
    except Exception as error:
        logger.error("A request failed", extra={"error": type(error).__name__}, exc_info=without_values(error))
        return failed("The server failed. Nothing was stored.", code="internal_error", status=500)


camcops.reads_own_body = True  # type: ignore[attr-defined]


def performed(asked: Asked) -> Reply:
    """Check who asks, do what is asked for, and hand out the session."""
    operation = OPERATIONS.get(asked.fields.text("operation"))
    if operation is None:
        raise WireMalformed(what="there is no such operation")
    if operation.needs != NOBODY:
        asked.check_user()
    if operation.needs == UPLOADER:
        asked.check_device()
    reply = operation.act(asked)
    return {**asked.session(), **reply}
