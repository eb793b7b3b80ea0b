"""Reading the mirror: what is current, what was as of a moment, and one record's history."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from django.db import models
from django.db.models import Q

from audit.clock import promise
from audit.exceptions import NaiveMoment, UnknownDevice, UnknownTimeline
from audit.models import Device

if TYPE_CHECKING:
    from typing import Self

Timeline: TypeAlias = Literal["captured", "committed"]

COLUMNS_OF = {
    "captured": ("mirror_captured_at", "mirror_removed_captured_at"),
    "committed": ("mirror_added_at", "mirror_removed_at"),
}


class MirrorQuerySet(models.QuerySet[Any]):
    """Versions of records. Name the database first: `Visit.mirror.using("server").as_of(...)`."""

    def current(self) -> Self:
        """The versions that are current, of all devices and eras."""
        return self.filter(mirror_current=True)

    def for_device(self, device: Device | str | int) -> Self:
        """The versions of one device, given as Device, name or id. UnknownDevice if there is no such name."""
        return self.filter(mirror_device=device_id(device, self.db))

    def as_of(self, moment: datetime, timeline: Timeline = "captured") -> Self:
        """The versions that were current at `moment`: never two of one record of a device and era.

        captured: by the devices' clocks. A batch that arrives later can still change the answer; see
        `known_until`. committed: as this server knew it; the answer never changes afterwards, so a moment
        later than the last commit is noted at once, in a short transaction of its own (inside an open
        transaction, commits wait until that ends), and a future one is refused (FutureMoment).
        """
        if timeline not in COLUMNS_OF:
            raise UnknownTimeline(timeline=timeline)
        if moment.tzinfo is None:
            raise NaiveMoment(moment=moment)
        if timeline == "committed":
            promise(self.db, moment)
        begun, ended = COLUMNS_OF[timeline]
        return self.filter(Q(**{f"{ended}__gt": moment}) | Q(**{ended: None}), **{f"{begun}__lte": moment})

    def history(self, device: Device | str | int, key: object, *, era: str | None = None) -> Self:
        """Every version of one record, oldest first: of one era, or of all that used its key."""
        key_name = self.model.mirror_of._meta.pk.name
        versions = self.for_device(device).filter(**{key_name: key}).order_by("mirror_pk")
        return versions if era is None else versions.filter(mirror_era=era)


def device_id(device: Device | str | int, alias: str) -> int:
    """The id of a device given as Device, name or id."""
    if isinstance(device, Device):
        return device.pk
    if isinstance(device, int):
        return device
    known = Device.objects.using(alias).filter(name=device).values_list("pk", flat=True).first()
    if known is None:
        raise UnknownDevice(device=device, alias=alias)
    return known


MirrorManager = models.Manager.from_queryset(MirrorQuerySet)
