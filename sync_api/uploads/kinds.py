"""A device delivers a log of its changes or states of its tables: one of the two within an era."""

from __future__ import annotations

from audit.engine import lock_device
from audit.engine.preserve import written_tables
from audit.mirror.columns import NOW
from audit.models import Device
from sync_api.exceptions import DeviceKindFixed, DeviceNotRegistered, DeviceSendsLog
from sync_api.models import DeviceCredential, IncomingBatch, ParkedUnit, Upload
from sync_api.transactions import immediate


def check_uploads_states(device: Device) -> None:
    """DeviceSendsLog unless the device is one that uploads its tables."""
    if device.kind != Device.Kind.STATE:
        raise DeviceSendsLog(device=device.name)


def change_kind(alias: str, name: str, kind: str) -> bool:
    """Let the device deliver the other kind from now on; whether that is new. Opens its own transaction.

    DeviceKindFixed while a record of it is in the era NOW, an upload is open, or batches wait to be consumed.
    """
    with immediate(alias):
        device = Device.objects.using(alias).filter(name=name).first()
        if device is None:
            raise DeviceNotRegistered(device=name, alias=alias)
        lock_device(alias, device.pk)
        lock_credentials(alias, device)
        device.refresh_from_db(using=alias)
        if device.kind == kind:
            return False
        why = what_is_open(alias, device)
        if why:
            raise DeviceKindFixed(device=name, why=why)
        Device.objects.using(alias).filter(pk=device.pk).update(kind=kind)
    return True


def lock_credentials(alias: str, device: Device) -> None:
    """Batches of the device are taken under this lock, so none can come in between."""
    list(DeviceCredential.objects.using(alias).select_for_update(no_key=True).filter(device=device).values_list("pk"))


def what_is_open(alias: str, device: Device) -> str:
    """What keeps the present era open, in words; empty when nothing does."""
    if Upload.objects.using(alias).filter(device=device, state=Upload.State.OPEN).exists():
        return "an upload is open"
    waiting = (IncomingBatch.State.HELD, IncomingBatch.State.EARLY)
    if IncomingBatch.objects.using(alias).filter(epoch__device=device, state__in=waiting).exists():
        return "batches of it wait to be consumed"
    if ParkedUnit.objects.using(alias).filter(device=device, state=ParkedUnit.State.PARKED).exists():
        return "units of it are parked"
    for table in written_tables(alias, device):
        rows = table.mirror._default_manager.using(alias).filter(mirror_device=device, mirror_era=NOW)
        if rows.exists():
            return "records of it are not preserved yet"
    return ""
