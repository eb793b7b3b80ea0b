"""Where this device pushes: the home server and whatever was added, each with its position and circuit breaker.

A target that fails SYNC_CIRCUIT_FAILURES times in a row is left alone for a while, with full jitter: anything from
nothing to a time that doubles with each further failure, up to SYNC_CIRCUIT_SECONDS_MAX. Then one push tries it again.
All of it stands in the table, so it outlives a restart.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from audit.fields import from_microseconds
from sync_api.client.http import checked_address
from sync_api.clock import now_in_microseconds
from sync_api.conf import alias_settings, limit
from sync_api.exceptions import (
    DeviceNameInvalid,
    HomeTargetFixed,
    NoLocalDevice,
    PushTargetExists,
    PushTargetUnknown,
    SyncError,
)
from sync_api.models import LocalDevice, OutgoingBatch, PushTarget
from sync_api.transactions import immediate
from sync_api.wire.header import DEVICE

DOUBLINGS_MAX = 30
HOME = PushTarget.Kind.HOME


def now(alias: str) -> datetime:
    """The moment by this database's clock."""
    return from_microseconds(now_in_microseconds(alias))


def own_device(alias: str) -> LocalDevice:
    """This installation's row. NoLocalDevice."""
    device = LocalDevice.objects.using(alias).filter(name=alias_settings(alias).device).first()
    if device is None:
        raise NoLocalDevice(alias=alias)
    return device


def ensure_home(alias: str, device: LocalDevice) -> PushTarget:
    """The home server's target, as LocalDevice says it; enrolling anew closes its circuit. Opens its own transaction.

    A target of another kind with the home server's name becomes the home target.
    """
    facts = {"name": device.server_name, "url": device.server_url, "public_key": device.server_key}
    position = {"epoch": device.epoch, "acknowledged_number": device.acknowledged_number}
    targets = PushTarget.objects.using(alias).filter(device=device)
    home = targets.filter(kind=HOME).first()
    enrolled = device.enrolled_at
    is_new = home is None or any(getattr(home, name) != value for name, value in facts.items())
    if home is not None and not is_new and not (home.last_tried_at and enrolled and enrolled > home.last_tried_at):
        return home
    with immediate(alias):
        if home is None:
            home = targets.filter(name=device.server_name).first() or PushTarget(device=device)
        else:
            targets.filter(name=device.server_name).exclude(pk=home.pk).delete()
        for name, value in {**facts, **position}.items():
            setattr(home, name, value)
        home.kind, home.is_active = HOME, True
        home.failures, home.open_until, home.last_error = 0, None, ""
        home.save(using=alias)
    return home


def add_target(alias: str, name: str, url: str, *, is_relay: bool = False, allow_http: bool = False) -> PushTarget:
    """Push to the installation `name` at `url` as well; all that is stored here goes there from now on.

    Opens its own transaction. DeviceNameInvalid, AddressInvalid, PlainHttpRefused, PushTargetExists.
    """
    device = own_device(alias)
    if DEVICE.fullmatch(name) is None or name == device.name:
        raise DeviceNameInvalid(name=name)
    address = checked_address(url, allow_http=allow_http)
    kind = PushTarget.Kind.RELAY if is_relay else PushTarget.Kind.SERVER
    with immediate(alias):
        if name == device.server_name or targets_of(alias, device).filter(name=name).exists():
            raise PushTargetExists(name=name)
        return PushTarget.objects.using(alias).create(device=device, name=name, kind=kind, url=address)


def remove_target(alias: str, name: str) -> None:
    """Push there no more. What it holds, it keeps. PushTargetUnknown, HomeTargetFixed."""
    target = find_target(alias, own_device(alias), name)
    if target.kind == HOME:
        raise HomeTargetFixed(name=name)
    target.delete()


def reset_target(alias: str, name: str) -> PushTarget:
    """Close the circuit, forget the failures, and send from the beginning of what is stored: a target that lost its
    data gets everything again. The home server says itself what it lacks, so its position stays. PushTargetUnknown."""
    target = find_target(alias, own_device(alias), name)
    target.failures, target.open_until, target.last_error, target.is_active = 0, None, "", True
    if target.kind != HOME:
        target.epoch, target.acknowledged_number = "", 0
    target.save(using=alias)
    return target


def targets_of(alias: str, device: LocalDevice) -> QuerySet[PushTarget]:
    """The home server first, then the others in the order in which they were added."""
    return PushTarget.objects.using(alias).filter(device=device).order_by("id")


def active_targets(alias: str, device: LocalDevice, name: str | None = None) -> list[PushTarget]:
    """Those to push to, the home server first; with `name` that one alone. PushTargetUnknown."""
    if name is not None:
        return [find_target(alias, device, name)]
    return sorted(targets_of(alias, device).filter(is_active=True), key=lambda target: target.kind != HOME)


def find_target(alias: str, device: LocalDevice, name: str) -> PushTarget:
    targets = targets_of(alias, device)
    target = targets.filter(name=name).first()
    if target is None:
        raise PushTargetUnknown(name=name, known=list(targets.values_list("name", flat=True)))
    return target


def is_open(alias: str, target: PushTarget) -> bool:
    """Whether the target is left alone for now. A clock that was set back does not prolong it."""
    if target.open_until is None:
        return False
    left = (target.open_until - now(alias)).total_seconds()
    return 0 < left <= float(limit("SYNC_CIRCUIT_SECONDS_MAX"))


def note_success(alias: str, target: PushTarget) -> None:
    """The push reached its end: the circuit is closed."""
    targets = PushTarget.objects.using(alias).filter(pk=target.pk)
    targets.update(failures=0, open_until=None, last_error="", last_tried_at=now(alias))


def note_home(alias: str, target: PushTarget) -> None:
    """The home target's position, as its receipts have moved it."""
    device = LocalDevice.objects.using(alias).get(pk=target.device_id)
    position = {"epoch": device.epoch, "acknowledged_number": device.acknowledged_number}
    moved = PushTarget.objects.using(alias).filter(pk=target.pk).exclude(**position)
    moved.update(**position, last_held_at=now(alias) if device.acknowledged_number else target.last_held_at)


def note_failure(alias: str, target: PushTarget, error: SyncError) -> None:
    """One more failure in a row; from SYNC_CIRCUIT_FAILURES on the circuit opens. Opens its own transaction."""
    with immediate(alias):
        locked = PushTarget.objects.using(alias).select_for_update().filter(pk=target.pk).first()
        if locked is None:  # removed meanwhile
            return
        tried_at = now(alias)
        locked.failures += 1
        locked.last_error, locked.last_tried_at = str(error), tried_at
        seconds = open_seconds(locked.failures)
        locked.open_until = tried_at + timedelta(seconds=seconds) if seconds else None
        locked.save(using=alias, update_fields=["failures", "last_error", "last_tried_at", "open_until"])
    target.failures, target.open_until = locked.failures, locked.open_until


def open_seconds(failures: int) -> float:
    """How long the circuit stays open after so many failures in a row: full jitter; 0 while it stays closed."""
    beyond = failures - int(limit("SYNC_CIRCUIT_FAILURES"))
    if beyond < 0:
        return 0.0
    most = float(limit("SYNC_CIRCUIT_SECONDS")) * 2.0 ** min(beyond, DOUBLINGS_MAX)
    return random.uniform(0, min(most, float(limit("SYNC_CIRCUIT_SECONDS_MAX"))))


def target_facts(alias: str, target: PushTarget) -> dict[str, Any]:
    """What people and programs are told of a target."""
    return {
        "name": target.name,
        "kind": target.kind,
        "url": target.url,
        "is_active": target.is_active,
        "epoch": target.epoch,
        "acknowledged_batches": target.acknowledged_number,
        "waiting_batches": waiting_batches(alias, target),
        "failures": target.failures,
        "circuit": "open" if is_open(alias, target) else "closed",
        "open_until": target.open_until,
        "last_tried_at": target.last_tried_at,
        "last_held_at": target.last_held_at,
        "last_error": target.last_error,
    }


def target_words(target: dict[str, Any]) -> str:
    """The facts of a target in words: `relay-1 (relay): 3 sealed batches to be sent, failed 5 times in a row, ...`"""
    waiting = target["waiting_batches"]
    parts = [f"{waiting} sealed batches to be sent" if waiting else "everything sealed is there"]
    if target["failures"]:
        parts.append(f"failed {target['failures']} times in a row")
    if target["circuit"] == "open":
        parts.append(f"not tried before {target['open_until']:%Y-%m-%d %H:%M:%S} UTC")
    return f"{target['name']} ({target['kind']}): {', '.join(parts)}"


def waiting_batches(alias: str, target: PushTarget) -> int:
    """Sealed batches that the target has not acknowledged."""
    batches = OutgoingBatch.objects.using(alias).filter(device=target.device_id)
    if target.kind == HOME:
        return batches.exclude(receipts__has_any_keys=["held", "refused"]).count()
    return beyond_position(batches, target).count()


def beyond_position(batches: QuerySet[OutgoingBatch], target: PushTarget) -> QuerySet[OutgoingBatch]:
    """Those of the stored batches that come after the target's position, in the order of sealing."""
    if target.epoch:
        own = batches.filter(epoch=target.epoch)
        last = own.filter(number__lte=target.acknowledged_number).order_by("-number").first()
        first = own.order_by("number").first()
        after = last.pk if last is not None else (first.pk - 1 if first is not None else 0)
        batches = batches.filter(pk__gt=after)
    return batches.order_by("id")
