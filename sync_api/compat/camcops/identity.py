"""Operations that upload nothing: devices, what the server tells, access keys, questions."""

from __future__ import annotations

from typing import Any

from sync_api.compat.camcops.asked import Asked
from sync_api.compat.camcops.replies import Reply, as_json, select_reply, server_reply
from sync_api.exceptions import NotPermitted, RecordsRefused, UploadDeviceUnknown, WireMalformed
from sync_api.uploads.access import record_info, register_record, schedules_of, usable_key
from sync_api.uploads.checking import single_record_of, validate_records
from sync_api.uploads.devices import REGISTER, UPLOAD, find_device, groups_with, register_device
from sync_api.uploads.people import limited_tries
from sync_api.uploads.registry import Root, allowed_tables, registry


def check_device_registered(asked: Asked) -> Reply:
    """Anyone may ask; asking for names that are not there is limited like other guessing."""
    with limited_tries(
        "device", asked.fields.address, "SYNC_ACCESS_KEY_TRIES_PER_MINUTE_MAX", counted=UploadDeviceUnknown
    ):
        find_device(asked.alias, asked.fields.text("device"))
    return {}


def check_upload_user_and_device(asked: Asked) -> Reply:
    """The dispatcher has checked both."""
    return {}


def register(asked: Asked) -> Reply:
    register_device(
        asked.alias,
        user=asked.user,
        name=asked.fields.text("device"),
        friendly_name=asked.fields.text("devicefriendlyname", ""),
        group=asked.fields.text("group", ""),
        app_version=asked.version,
    )
    return server_reply(registry.info)


def get_id_info(asked: Asked) -> Reply:
    require_any_right(asked)
    return server_reply(registry.info)


def get_extra_strings(asked: Asked) -> Reply:
    require_any_right(asked)
    rows = [(one.task, one.name, one.language, one.value) for one in registry.strings]
    return select_reply(("task", "name", "language", "value"), rows)


def get_allowed_tables(asked: Asked) -> Reply:
    require_any_right(asked)
    rows = [(name, one.min_client_version) for name, one in sorted(allowed_tables().items())]
    return select_reply(("tablename", "min_client_version"), rows)


def require_any_right(asked: Asked) -> None:
    """Whoever may register devices or upload in some group, or upload one record's data."""
    user = asked.user
    if user.is_superuser or single_record_of(asked.alias, user) is not None:
        return
    if not any(groups_with(asked.alias, user, right) for right in (REGISTER, UPLOAD)):
        raise NotPermitted(user=user.get_username(), what="ask for this", permission=f"sync_api.{UPLOAD}")


def register_patient(asked: Asked) -> Reply:
    """The access key stands for all credentials."""
    registered = register_record(
        asked.alias,
        key=asked.fields.text("patient_proquint"),
        device=asked.fields.text("device"),
        address=asked.fields.address,
        friendly_name=asked.fields.text("devicefriendlyname", ""),
        app_version=asked.version,
    )
    return {
        **server_reply(registry.info),
        "user": registered.username,
        "password": registered.password,
        "patient_info": as_json([dict(registered.record)]),
        "task_schedules": as_json(registered.schedules),
    }


def get_task_schedules(asked: Asked) -> Reply:
    """Of the record that the access key stands for, else of the single-record user's."""
    if asked.fields.has("patient_proquint"):
        key = usable_key(asked.alias, asked.fields.text("patient_proquint"), address=asked.fields.address)
    else:
        asked.check_user()
        single = single_record_of(asked.alias, asked.user)
        if single is None:
            raise WireMalformed(what="the field 'patient_proquint' is missing")
        key = single.access_key
    root = registry.root_of(key.model)
    record = record_info(asked.alias, root, key.identity)
    schedules = schedules_of(asked.alias, root, record)
    return {"patient_info": as_json([record]), "task_schedules": as_json(schedules)}


def validate_patients(asked: Asked) -> Reply:
    """Would these records be taken? The answer is the commit's own. Refused: the reasons, as an error."""
    asked_about: list[Any] = asked.fields.json("patient_info", list)
    table = root_asked(asked).model._meta.db_table
    refusals = validate_records(asked.alias, user=asked.user, device=asked.device, tables={table: asked_about})
    if refusals:
        raise RecordsRefused(refusals=refusals)
    return {}


def root_asked(asked: Asked) -> Root:
    """The root that the request means: by `table` where several are registered."""
    roots = list(registry.roots.values())
    if asked.fields.has("table"):
        named = asked.fields.text("table")
        roots = [root for root in roots if named in (root.model._meta.db_table, root.label)]
    if len(roots) != 1:
        raise WireMalformed(what="it is not clear which table the records are of: name it in 'table'")
    return roots[0]
