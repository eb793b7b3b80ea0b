"""Devices of groups: who may register one, who may upload for it.

A permission counts in a group when the group itself has it, or the user has it and is a member. Superusers may all.
Permissions are read from the database that is served.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import Q
from django.utils import timezone

from audit.models import Device
from audit.models.devices import device_name_validator
from sync_api.exceptions import (
    ClientTooOld,
    DeviceNameInvalid,
    DeviceOfAnotherGroup,
    GroupUnclear,
    NotPermitted,
    UploadDeviceRevoked,
    UploadDeviceUnknown,
)
from sync_api.models import SingleRecordUser
from sync_api.schema.versions import too_old
from sync_api.transactions import immediate
from sync_api.uploads.kinds import change_kind

Made = TypeVar("Made")
REGISTER = "register_devices"
UPLOAD = "upload_records"
WORDS = {REGISTER: "register devices", UPLOAD: "upload for this device"}
FRIENDLY_NAME_LENGTH_MAX = 200


@dataclass(frozen=True, slots=True)
class Uploader:
    """A user who may upload for a device; `single` when only one record's data."""

    user: Any
    device: Device
    single: SingleRecordUser | None


def find_device(alias: str, name: str) -> Device:
    """The registered device of that name, not revoked. Raises UploadDeviceUnknown or UploadDeviceRevoked."""
    known = Device.objects.using(alias).select_related("group")
    device = known.filter(name=name).first() if "\0" not in name else None
    if device is None:
        raise UploadDeviceUnknown(device=name)
    if device.revoked_at is not None:
        raise UploadDeviceRevoked(device=name)
    return device


def groups_with(alias: str, user: Any, permission: str) -> list[Group]:
    """The groups in which the user has the permission: all that there are, for a superuser."""
    groups = Group.objects.using(alias).order_by("name")
    if not user.is_active:
        return []
    if user.is_superuser:
        return list(groups)
    own = Permission.objects.using(alias).filter(
        content_type__app_label="sync_api", codename=permission, user__pk=user.pk
    )
    members = groups.filter(user__pk=user.pk)
    if own.exists():
        return list(members)
    granted = Q(permissions__content_type__app_label="sync_api", permissions__codename=permission)
    return list(members.filter(granted).distinct())


def require_in_group(alias: str, user: Any, permission: str, group: Group | None) -> None:
    """NotPermitted unless the user has the permission in this group; without a group, only superusers have."""
    if user.is_active and user.is_superuser:
        return
    if group is None or group not in groups_with(alias, user, permission):
        raise NotPermitted(user=user.get_username(), what=WORDS[permission], permission=f"sync_api.{permission}")


def register_device(
    alias: str, *, user: Any, name: str, friendly_name: str = "", group: str = "", app_version: str = ""
) -> Device:
    """Register a device for a group, or meet it again. Opens its own transaction; may run twice.

    `group` may be left out by a user with one group only (a superuser's device then has none). A name that another
    group's device has is refused (DeviceOfAnotherGroup), whoever asks: defect 14 of CamCOPS. A device that delivered a
    log uploads its tables from now on, once all its records are preserved (DeviceKindFixed before).
    """
    try:
        device_name_validator(name)
    except ValidationError as error:
        raise DeviceNameInvalid(name=name) from error
    return twice_if_raced(lambda: registered(alias, user, name, friendly_name, group, app_version))


def twice_if_raced(act: Callable[[], Made]) -> Made:
    """Do it again when another request made the same device or user in between: now it is there to be met."""
    try:
        return act()
    except IntegrityError:
        return act()


def registered(alias: str, user: Any, name: str, friendly_name: str, group: str, app_version: str) -> Device:
    with immediate(alias):
        device = Device.objects.using(alias).select_for_update(of=("self",)).filter(name=name).first()
        if device is not None and device.revoked_at is not None:
            raise UploadDeviceRevoked(device=name)
        chosen = group_for(alias, user, group, device)
        if device is not None:
            change_kind(alias, name, Device.Kind.STATE)
        return kept(alias, device, name, chosen, user.get_username(), friendly_name, app_version)


def kept(
    alias: str,
    device: Device | None,
    name: str,
    group: Group | None,
    by: str,
    friendly_name: str,
    app_version: str,
) -> Device:
    """Create the device, or renew what is told of it. Call inside a transaction, with its row locked."""
    told: dict[str, Any] = {"last_seen_at": timezone.now()}
    if friendly_name:
        told["friendly_name"] = friendly_name.replace("\0", "")[:FRIENDLY_NAME_LENGTH_MAX]
    if app_version:
        told["app_version"] = app_version.replace("\0", "")[:50]
    if device is None:
        return Device.objects.using(alias).create(
            name=name, group=group, kind=Device.Kind.STATE, role=Device.Role.CLIENT, registered_by=by, **told
        )
    Device.objects.using(alias).filter(pk=device.pk).update(**told)
    device.refresh_from_db(using=alias)
    return device


def group_for(alias: str, user: Any, named: str, device: Device | None) -> Group | None:
    """The group that the user registers the device for. Raises NotPermitted, GroupUnclear, DeviceOfAnotherGroup."""
    groups = groups_with(alias, user, REGISTER)
    if not groups and not user.is_superuser:
        raise NotPermitted(user=user.get_username(), what=WORDS[REGISTER], permission=f"sync_api.{REGISTER}")
    if named and named not in {one.name for one in groups}:
        raise GroupUnclear(groups=[one.name for one in groups])
    candidates = [one for one in groups if one.name == named] if named else groups
    if device is not None:
        if device.group is None and user.is_superuser and not named:
            return None
        if device.group not in candidates:
            raise DeviceOfAnotherGroup(device=device.name)
        return device.group
    if named or (len(candidates) == 1 and not user.is_superuser):
        return candidates[0]
    if user.is_superuser:
        return None
    raise GroupUnclear(groups=[one.name for one in groups])


def give_to_group(alias: str, name: str, group: str) -> bool:
    """Let a group have a device, whichever had it; whether that is new. Opens its own transaction. For operators.

    Who may no longer upload for it cannot go on with an upload that is open either. Raises UploadDeviceUnknown or
    GroupUnclear.
    """
    with immediate(alias):
        device = find_device(alias, name)
        chosen = Group.objects.using(alias).filter(name=group).first()
        if chosen is None:
            raise GroupUnclear(groups=list(Group.objects.using(alias).values_list("name", flat=True)))
        Device.objects.using(alias).filter(pk=device.pk).update(group=chosen)
    return device.group_id != chosen.pk


def check_may_upload(alias: str, user: Any, device: Device) -> Uploader:
    """Who uploads. Raises NotPermitted or UploadDeviceRevoked. Reads only; asked again by every operation.

    A single-record user may from its own device, while its access key has not been ended, and in no other way.
    """
    if device.revoked_at is not None:
        raise UploadDeviceRevoked(device=device.name)
    single = SingleRecordUser.objects.using(alias).select_related("access_key").filter(user_id=user.pk).first()
    if single is None:
        require_in_group(alias, user, UPLOAD, device.group)
        return Uploader(user, device, None)
    key = single.access_key
    if (
        not user.is_active
        or single.device_id != device.pk
        or device.group_id != key.group_id
        or (key.ended_at is not None and key.ended_at <= timezone.now())
    ):
        raise NotPermitted(user=user.get_username(), what=WORDS[UPLOAD], permission=f"sync_api.{UPLOAD}")
    return Uploader(user, device, single)


def check_client_version(table: Any, version: str) -> None:
    """ClientTooOld when the table's model asks for a newer client (`min_client_version`)."""
    wanted = too_old(version, table.source)
    if wanted is not None:
        raise ClientTooOld(table=table.source._meta.db_table, version=version, wanted=wanted)
