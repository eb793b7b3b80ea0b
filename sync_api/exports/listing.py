"""The configurations and how each of them stands. Never their credentials."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlsplit

from django.db.models import Count, Q

from sync_api.exceptions import ExportUnknown
from sync_api.models import ExportConfiguration, ExportTask


def find_configuration(alias: str, name: str) -> ExportConfiguration:
    """The configuration of that id, or the only one of that name. ExportUnknown."""
    rows = ExportConfiguration.objects.using(alias)
    try:
        found = list(rows.filter(pk=uuid.UUID(name)))
    except ValueError:
        found = list(rows.filter(name=name)[:2])
    if len(found) != 1:
        raise ExportUnknown(name=name)
    return found[0]


def listed(alias: str) -> list[dict[str, Any]]:
    """One entry per configuration. Two statements."""
    pending = Count("pk", filter=Q(done_at__isnull=True))
    dead = Count("pk", filter=Q(state=ExportTask.State.DEAD))
    tasks = ExportTask.objects.using(alias).order_by().values("configuration")
    counted: Any = tasks.annotate(waiting=pending, given_up=dead)
    counts = {row["configuration"]: (row["waiting"], row["given_up"]) for row in counted}
    return [
        {
            "id": str(one.pk),
            "name": one.name,
            "entity_type": one.entity_type,
            "protocol": one.protocol,
            "target_host": urlsplit(one.target_url).hostname,
            "is_enabled": one.is_enabled,
            "pending": counts.get(one.pk, (0, 0))[0],
            "dead": counts.get(one.pk, (0, 0))[1],
            "completed_count": one.completed_count,
            "failed_count": one.failed_count,
            "failures": one.failures,
            "deferred_until": one.deferred_until.isoformat() if one.deferred_until else None,
            "last_error": one.last_error,
        }
        for one in ExportConfiguration.objects.using(alias)
    ]
