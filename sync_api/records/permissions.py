"""What a user may see: models by the view permission of their mirror, devices by their group where they have one."""

from __future__ import annotations

from typing import Any

from django.db.models import Q

from audit.mirror.tables import MirrorTable, mirror_tables
from audit.models import Device


def may_see(user: Any, table: MirrorTable) -> bool:
    """The view permission of the mirror model, as the admin asks for it."""
    meta = table.mirror._meta
    return bool(user.has_perm(f"{meta.app_label}.view_{meta.model_name}"))


def tables_seen(user: Any) -> list[MirrorTable]:
    return [table for table in mirror_tables() if may_see(user, table)]


def devices_seen(user: Any, alias: str) -> list[int] | None:
    """Ids of the devices that the user may see: those without a group, and those of the user's groups. None: all.

    Groups are compared by name, as users and devices may be in different databases.
    """
    if user.is_superuser:
        return None
    names = list(user.groups.values_list("name", flat=True))
    seen = Device.objects.using(alias).filter(Q(group=None) | Q(group__name__in=names))
    return list(seen.values_list("pk", flat=True))
