"""The audit: which commit changed which table, by whom; and every commit that touched one record."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from audit.mirror.tables import MirrorTable
from audit.models import TableChanges


@dataclass(frozen=True, slots=True)
class Asked:
    """What to look for. `key` is a client key, `mirror_pk` one of the record's versions; either needs the table."""

    device: str = ""
    user: str = ""
    table: MirrorTable | None = None
    key: str = ""
    mirror_pk: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    failed: bool = False


def changes(alias: str, asked: Asked, *, devices: Collection[int] | None = None) -> QuerySet[TableChanges]:
    """The commits that fit, newest first; of `devices` (ids) alone, where not every device may be seen."""
    found = TableChanges.objects.using(alias).select_related("device", "source").order_by("-committed_at", "-id")
    if devices is not None:
        found = found.filter(device__in=devices)
    if asked.device:
        found = found.filter(device__name=asked.device)
    if asked.user:
        found = found.filter(committed_by=asked.user)
    if asked.table is not None:
        found = found.filter(model=asked.table.label)
    if asked.since is not None:
        found = found.filter(committed_at__gte=asked.since)
    if asked.until is not None:
        found = found.filter(committed_at__lte=asked.until)
    if asked.failed:
        found = found.exclude(code="")
    if asked.table is not None and (asked.key or asked.mirror_pk is not None):
        found = found.filter(touching(alias, asked.table, asked))
    return found


def touching(alias: str, table: MirrorTable, asked: Asked) -> Q:
    """The commits that began, ended, preserved or erased a version of the record.

    A version knows the moments at which it began and ended, and a moment belongs to one commit; preserving and erasing
    are few, and their keys are looked through.
    """
    versions = table.mirror.objects.using(alias).all()
    if asked.mirror_pk is not None:
        one = versions.filter(mirror_pk=asked.mirror_pk).values_list("mirror_device", table.key)
        own = list(one)
        if not own:
            return Q(pk=None)
        versions = versions.filter(mirror_device=own[0][0], **{table.key: own[0][1]})
    else:
        try:
            versions = versions.filter(**{table.key: table.canonical_key(asked.key)})
        except Exception:  # whatever the field says to a text that is no key of it: no record has it
            return Q(pk=None)
    if asked.device:
        versions = versions.filter(mirror_device__name=asked.device)
    moments: dict[int, set[datetime]] = {}
    pks: dict[int, set[int]] = {}
    columns = ("mirror_device", "mirror_pk", "mirror_added_at", "mirror_removed_at")
    for device, pk, added_at, removed_at in versions.values_list(*columns):
        pks.setdefault(device, set()).add(pk)
        moments.setdefault(device, set()).update(moment for moment in (added_at, removed_at) if moment is not None)
    condition = Q(pk=None)
    for device, own_moments in moments.items():
        condition |= Q(device=device, committed_at__in=own_moments)
        rare = TableChanges.objects.using(alias).filter(Q(preserved__gt=0) | Q(erased__gt=0), device=device)
        named = rare.filter(model=table.label).values_list("pk", "keys")
        wanted = pks[device]
        condition |= Q(
            pk__in=[
                pk
                for pk, keys in named.iterator(chunk_size=100)
                if any(not wanted.isdisjoint(keys.get(kind, ())) for kind in ("preserved", "erased"))
            ]
        )
    return condition
