"""Cameras, what they were (status), and what they saw (events and files), with metadata of typed values.

camera -> status (from `valid_from` until the next one's)
       -> file   -> metadata
       -> event  -> metadata, files (several events can share one)

Moments have milliseconds, as MeteorPi's wire has. The end of a status is never stored: it is the next one's beginning.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

ID_LENGTH_MAX = 64
DAY_MS = 86_400_000


class Camera(models.Model):
    """An installation that watches. Everything before its high-water mark has been processed."""

    camera_id = models.CharField(max_length=ID_LENGTH_MAX, unique=True)
    high_water_mark = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["camera_id"]

    def __str__(self) -> str:
        return self.camera_id


class CameraStatus(models.Model):
    """What a camera was from a moment on: its lens, its place, where it looked."""

    status_id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    camera = models.ForeignKey(Camera, on_delete=models.CASCADE, related_name="statuses")
    valid_from = models.DateTimeField()
    lens = models.CharField(max_length=100)
    sensor = models.CharField(max_length=100)
    inst_url = models.CharField(max_length=500, blank=True)
    inst_name = models.CharField(max_length=200, blank=True)
    software_version = models.IntegerField(default=0)
    latitude = models.FloatField()
    longitude = models.FloatField()
    has_gps = models.BooleanField(default=False)
    location_error = models.FloatField(default=0.0)
    altitude = models.FloatField()
    azimuth = models.FloatField()
    orientation_error = models.FloatField(default=0.0)
    rotation = models.FloatField(default=0.0)
    width_of_field = models.FloatField(default=0.0)
    regions = models.JSONField(default=list, blank=True, help_text="Polygons: lists of points with x and y.")
    imported_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["camera", "valid_from", "status_id"]
        indexes = [models.Index(fields=["camera", "valid_from"], name="observatory_status_time")]
        verbose_name_plural = "camera statuses"

    def __str__(self) -> str:
        return f"{self.camera_id} from {self.valid_from}"


class Seen(models.Model):
    """What files and events have in common: a camera, its status at that time, and where the record came from."""

    camera = models.ForeignKey(Camera, on_delete=models.CASCADE)
    status = models.ForeignKey(CameraStatus, on_delete=models.PROTECT)
    revision = models.BigIntegerField(default=1, help_text="Rises with every change, so that it is exported again.")
    time_of_day_ms = models.IntegerField(editable=False)
    imported_by = models.CharField(max_length=150, blank=True)
    imported_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


class FileRecord(Seen):
    """A file that a camera made. Its bytes lie in the content store under their SHA-256."""

    file_id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    file_time = models.DateTimeField()
    mime_type = models.CharField(max_length=100)
    semantic_type = models.CharField(max_length=100)
    file_name = models.CharField(max_length=255, null=True, blank=True)
    file_size = models.PositiveBigIntegerField()
    md5 = models.CharField(max_length=32)
    sha256 = models.CharField(max_length=64, db_index=True)

    class Meta:
        ordering = ["-file_time", "-file_id"]
        indexes = [
            models.Index(fields=["-file_time", "-file_id"], name="observatory_file_time"),
            models.Index(fields=["camera", "file_time"], name="observatory_file_camera"),
        ]

    def __str__(self) -> str:
        return self.file_id.hex


class Event(Seen):
    """Something that was seen."""

    event_id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    event_time = models.DateTimeField()
    event_type = models.CharField(max_length=100)
    files = models.ManyToManyField(FileRecord, related_name="events", blank=True)

    class Meta:
        ordering = ["-event_time", "-event_id"]
        indexes = [
            models.Index(fields=["-event_time", "-event_id"], name="observatory_event_time"),
            models.Index(fields=["camera", "event_time"], name="observatory_event_camera"),
        ]

    def __str__(self) -> str:
        return self.event_id.hex


class Meta(models.Model):
    """One named value, of one of three types."""

    class Kind(models.TextChoices):
        STRING = "string", "string"
        NUMBER = "number", "number"
        DATE = "date", "date"

    key = models.CharField(max_length=100)
    kind = models.CharField(max_length=6, choices=Kind.choices)
    string_value = models.TextField(null=True, blank=True)
    number_value = models.FloatField(null=True, blank=True)
    date_value = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="string", string_value__isnull=False)
                | Q(kind="number", number_value__isnull=False)
                | Q(kind="date", date_value__isnull=False),
                name="%(app_label)s_%(class)s_value",
            )
        ]

    def __str__(self) -> str:
        return self.key


class FileMeta(Meta):
    file = models.ForeignKey(FileRecord, on_delete=models.CASCADE, related_name="meta")

    class Meta(Meta.Meta):
        indexes = [models.Index(fields=["file", "key"], name="observatory_file_meta")]


class EventMeta(Meta):
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="meta")

    class Meta(Meta.Meta):
        indexes = [models.Index(fields=["event", "key"], name="observatory_event_meta")]


class Tombstone(models.Model):
    """Something that was here and was removed. Exported, so that replicas remove it too."""

    entity_type = models.CharField(max_length=10)
    entity_id = models.CharField(max_length=32)
    removed_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["entity_type", "entity_id"], name="observatory_tombstone_of")]

    def __str__(self) -> str:
        return f"{self.entity_type} {self.entity_id}"


def to_milliseconds(moment: datetime) -> datetime:
    """The moment in UTC, without what the wire cannot carry. ValueError without a time zone."""
    if moment.tzinfo is None:
        raise ValueError("A moment needs a time zone.")
    utc = moment.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


def time_of_day(moment: datetime) -> int:
    """Milliseconds since midnight UTC."""
    utc = moment.astimezone(UTC)
    return ((utc.hour * 60 + utc.minute) * 60 + utc.second) * 1000 + utc.microsecond // 1000


def meta_value(meta: Any) -> Any:
    return {"string": meta.string_value, "number": meta.number_value, "date": meta.date_value}[meta.kind]
