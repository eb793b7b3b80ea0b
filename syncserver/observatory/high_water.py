"""The high-water mark: everything a camera made before it is processed. Moving it back removes what came later.

What is removed leaves a tombstone, which replicas get, and its bytes are removed after the commit, when nothing else
needs the same.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import F, QuerySet

from sync_api.transactions import immediate
from syncserver.observatory.contents import release_contents
from syncserver.observatory.models import Camera, CameraStatus, Event, FileRecord, Tombstone, to_milliseconds


def get_high_water_mark(camera_id: str, *, alias: str = DEFAULT_DB_ALIAS) -> datetime | None:
    """The camera's mark, or None."""
    camera = Camera.objects.using(alias).filter(camera_id=camera_id).first()
    return None if camera is None else camera.high_water_mark


def set_high_water_mark(
    camera_id: str,
    time: datetime,
    *,
    allow_rollback: bool = True,
    allow_advance: bool = True,
    alias: str = DEFAULT_DB_ALIAS,
) -> None:
    """Move the mark; backwards, what is later than it is removed. Opens its own transaction."""
    moment = to_milliseconds(time)
    with immediate(alias):
        camera, _ = Camera.objects.using(alias).get_or_create(camera_id=camera_id)
        mark = current_mark(alias, camera)
        if mark is not None and moment < mark:
            if allow_rollback:
                roll_back(alias, camera, moment)
        elif allow_advance:
            Camera.objects.using(alias).filter(pk=camera.pk).update(high_water_mark=moment)


def current_mark(alias: str, camera: Camera) -> datetime | None:
    """The mark, with the camera's row locked. Call inside a transaction."""
    return Camera.objects.using(alias).select_for_update().get(pk=camera.pk).high_water_mark


def roll_back(alias: str, camera: Camera, moment: datetime) -> None:
    """Remove the camera's events, files and statuses later than `moment`, and set the mark. Call inside a transaction.

    A fixed number of statements. An event that stays but loses a file is a new revision. A status that a record which
    stays refers to stays as well.
    """
    remove_entities(alias, "event", Event.objects.using(alias).filter(camera=camera, event_time__gt=moment))
    remove_entities(alias, "file", FileRecord.objects.using(alias).filter(camera=camera, file_time__gt=moment))
    statuses = CameraStatus.objects.using(alias).filter(camera=camera, valid_from__gt=moment)
    remove_entities(alias, "status", statuses.filter(event__isnull=True, filerecord__isnull=True))
    Camera.objects.using(alias).filter(pk=camera.pk).update(high_water_mark=moment)


def remove_entities(alias: str, entity_type: str, rows: QuerySet[Any]) -> None:
    """Delete the rows, each with a tombstone. Call inside a transaction."""
    ids = list(rows.values_list("pk", flat=True))
    if not ids:
        return
    model = rows.model
    if entity_type == "file":
        losing = Event.objects.using(alias).filter(files__in=ids)
        Event.objects.using(alias).filter(pk__in=list(losing.values_list("pk", flat=True).distinct())).update(
            revision=F("revision") + 1
        )
        release_contents(alias, ids)
    model.objects.using(alias).filter(pk__in=ids).delete()
    Tombstone.objects.using(alias).bulk_create(
        [Tombstone(entity_type=entity_type, entity_id=one.hex) for one in ids], batch_size=1_000
    )
