"""Access keys: a proquint with a check word that stands for one record, and the users that it makes.

Whoever knows the key registers a device and gets a user and a password bound to (device, record); `check_commit` lets
that user upload what belongs to the record, and nothing else. Keys and passwords are kept only as hashes.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import salted_hmac

from audit.mirror.tables import table_for
from audit.models import Device
from audit.models.devices import device_name_validator
from sync_api.enrolment.codes import new_code, read_code
from sync_api.exceptions import (
    AccessKeyMistyped,
    AccessKeyRefused,
    CodeMistyped,
    DeviceNameInvalid,
    DeviceTaken,
    GroupUnclear,
    IdentityInvalid,
    UploadDeviceRevoked,
)
from sync_api.models import AccessKey, SingleRecordUser
from sync_api.transactions import immediate
from sync_api.uploads.checking import read_identity
from sync_api.uploads.devices import kept, twice_if_raced
from sync_api.uploads.people import limited_tries
from sync_api.uploads.registry import Root, registry

PASSWORD_BYTES = 24
USERNAME = "{device}-record-{key}"


@dataclass(frozen=True, slots=True)
class NewAccessKey:
    """A key to hand to one person. It is shown once and kept only as a hash."""

    key: str
    model: str
    identity: Mapping[str, Any]
    group: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Registered:
    """What a person's device is given: its user, the password (shown once), and what is known of the record."""

    device: Device
    username: str
    password: str
    root: Root
    record: Mapping[str, Any]
    schedules: list[dict[str, Any]]


def add_access_key(
    alias: str,
    *,
    model: str,
    identity: Mapping[str, Any],
    group: str,
    by: str = "",
    expires_at: datetime | None = None,
) -> NewAccessKey:
    """Make a key to the record of a registered root model with these values. Opens its own transaction.

    Raises RootNotRegistered, IdentityInvalid or GroupUnclear. The record need not be there yet.
    """
    root = registry.root_of(model)
    if set(identity) != set(root.identity):
        raise IdentityInvalid(model=root.label, fields=root.identity)
    try:
        read = read_identity(root.model, identity)
    except ValidationError as error:
        raise IdentityInvalid(model=root.label, fields=root.identity) from error
    code = new_code()
    with immediate(alias):
        chosen = Group.objects.using(alias).filter(name=group).first()
        if chosen is None:
            raise GroupUnclear(groups=list(Group.objects.using(alias).values_list("name", flat=True)))
        AccessKey.objects.using(alias).create(
            key_hash=key_hash(read_code(code)),
            model=root.label,
            identity=plain(read),
            group=chosen,
            created_by=by,
            expires_at=expires_at,
        )
    return NewAccessKey(code, root.label, plain(read), group, expires_at)


def key_hash(secret: bytes) -> str:
    """What is kept of a key: HMAC-SHA256 under SECRET_KEY, in hex."""
    return salted_hmac("sync_api.uploads.access_key", secret, algorithm="sha256").hexdigest()


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON holds them."""
    read: dict[str, Any] = json.loads(json.dumps(dict(values), cls=DjangoJSONEncoder))
    return read


def usable_key(alias: str, text: str, *, address: str) -> AccessKey:
    """The access key that was typed. Raises AccessKeyMistyped, AccessKeyRefused or TooManyTries.

    A typing error is found by the check word and does not count as a try.
    """
    try:
        secret = read_code(text)
    except CodeMistyped as error:
        raise AccessKeyMistyped(what="a word or the check word does not fit") from error
    with limited_tries("access_key", address, "SYNC_ACCESS_KEY_TRIES_PER_MINUTE_MAX", counted=AccessKeyRefused):
        now = timezone.now()
        keys = AccessKey.objects.using(alias).select_related("group").filter(ended_at=None)
        key = keys.filter(Q(expires_at=None) | Q(expires_at__gt=now), key_hash=key_hash(secret)).first()
        if key is None:
            raise AccessKeyRefused
    return key


def register_record(
    alias: str, *, key: str, device: str, address: str, friendly_name: str = "", app_version: str = ""
) -> Registered:
    """Register a device with an access key, or again after a lost answer: the password is then a new one.

    Opens its own transaction. The device's name must be free, or that of a device which access keys of the same group
    registered: a key takes no one's device over (DeviceTaken).
    """
    found = usable_key(alias, key, address=address)
    root = registry.root_of(found.model)
    try:
        device_name_validator(device)
    except ValidationError as error:
        raise DeviceNameInvalid(name=device) from error
    registered, username, password = twice_if_raced(lambda: bound(alias, found, device, friendly_name, app_version))
    record = record_info(alias, root, found.identity)
    return Registered(registered, username, password, root, record, schedules_of(alias, root, record))


def bound(alias: str, key: AccessKey, name: str, friendly_name: str, app_version: str) -> tuple[Device, str, str]:
    """The device, and its user for this key with a new password."""
    with immediate(alias):
        held = Device.objects.using(alias).select_for_update(of=("self",)).filter(name=name).first()
        if held is not None:
            check_not_taken(alias, held, key)
        device = kept(alias, held, name, key.group, f"access key {key.pk}", friendly_name, app_version)
        username, password = user_for(alias, device, key)
        AccessKey.objects.using(alias).filter(pk=key.pk).update(last_used_at=timezone.now())
    return device, username, password


def check_not_taken(alias: str, device: Device, key: AccessKey) -> None:
    if device.revoked_at is not None:
        raise UploadDeviceRevoked(device=device.name)
    by_key = SingleRecordUser.objects.using(alias).filter(device=device).exists()
    if not by_key or device.group_id != key.group_id:
        raise DeviceTaken(device=device.name)


def user_for(alias: str, device: Device, key: AccessKey) -> tuple[str, str]:
    """The user of this device and key, with a new password. Call inside a transaction.

    Bound to the device too: another device registered with the same key gets a user of its own, and takes nothing
    away from this one. Source: the seed's get_or_create_single_user.
    """
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    single = SingleRecordUser.objects.using(alias).select_related("user").filter(device=device, access_key=key).first()
    if single is None:
        users: Any = get_user_model()._default_manager
        user = users.db_manager(alias).create_user(USERNAME.format(device=device.name, key=key.pk), password=password)
        SingleRecordUser.objects.using(alias).create(user=user, device=device, access_key=key)
        return str(user.get_username()), password
    known: Any = single.user
    known.set_password(password)
    known.save(using=alias, update_fields=["password"])
    single.password_set_at = timezone.now()
    single.save(using=alias, update_fields=["password_set_at"])
    return str(known.get_username()), password


def record_info(alias: str, root: Root, identity: Mapping[str, Any]) -> dict[str, Any]:
    """What is known now of the record, by field name: from the model's own table, else from the newest mirror row.

    Where neither has it, the values by which it is known.
    """
    wanted = read_identity(root.model, identity)
    names = tuple(dict.fromkeys((*root.identity, *root.info)))
    own = root.model._default_manager.using(alias).filter(**wanted).values(*names).first()
    if own is None:
        current = table_for(root.model).mirror._default_manager.using(alias).filter(mirror_current=True, **wanted)
        own = current.order_by("-mirror_added_at", "-mirror_pk").values(*names).first()
    return plain(wanted if own is None else own)


def schedules_of(alias: str, root: Root, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The schedules of the record's person, as JSON has them."""
    told: Iterable[Any] = () if root.schedules is None else root.schedules(alias, record)
    return [asdict(schedule) for schedule in told]
