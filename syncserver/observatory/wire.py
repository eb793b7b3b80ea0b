"""Records as MeteorPi's JSON has them, and back. Ids are 32 hex digits, moments whole milliseconds since 1970 UTC.

What comes from outside is checked field by field; `Invalid` names the field and never its value. Null fields are left
out, and a camera's name may come padded to 64 characters.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from syncserver.observatory.models import CameraStatus, Event, FileRecord, meta_value

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS_MIN, MS_MAX = -62_135_596_800_000, 253_402_300_799_999
META_MAX, FILES_MAX, REGIONS_MAX, POINTS_MAX = 1_000, 1_000, 100, 1_000
TEXT_LENGTH_MAX = 100
NAME_LENGTH_MAX = 255
META_TEXT_LENGTH_MAX = 100_000
INTEGER_MAX = 2**31
ORIENTATION = (("alt", "altitude"), ("az", "azimuth"), ("error", "orientation_error"), ("rot", "rotation"))


class Invalid(Exception):
    """A field of a received record is missing, or not of its kind."""


@dataclass(frozen=True, slots=True)
class MetaData:
    key: str
    kind: str
    value: str | float | datetime


@dataclass(frozen=True, slots=True)
class FileData:
    file_id: uuid.UUID
    camera_id: str
    status_id: uuid.UUID
    file_time: datetime
    mime_type: str
    semantic_type: str
    file_name: str | None
    file_size: int
    md5: str
    meta: tuple[MetaData, ...]


@dataclass(frozen=True, slots=True)
class EventData:
    event_id: uuid.UUID
    camera_id: str
    status_id: uuid.UUID
    event_time: datetime
    event_type: str
    files: tuple[FileData, ...]
    meta: tuple[MetaData, ...]


def to_ms(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_ms(value: int) -> datetime:
    return EPOCH + timedelta(milliseconds=value)


def file_dict(file: FileRecord) -> dict[str, Any]:
    """Read with its camera and meta prefetched."""
    told = {
        "file_id": file.file_id.hex,
        "camera_id": file.camera.camera_id,
        "mime_type": file.mime_type,
        "semantic_type": file.semantic_type,
        "file_time": to_ms(file.file_time),
        "file_size": file.file_size,
        "status_id": file.status_id.hex,
        "md5": file.md5,
        "meta": meta_list(file),
    }
    return told if file.file_name is None else {**told, "file_name": file.file_name}


def event_dict(event: Event) -> dict[str, Any]:
    """Read with its camera, meta and files prefetched."""
    return {
        "event_id": event.event_id.hex,
        "camera_id": event.camera.camera_id,
        "event_time": to_ms(event.event_time),
        "event_type": event.event_type,
        "status_id": event.status_id.hex,
        "files": [file_dict(file) for file in sorted(event.files.all(), key=lambda file: file.file_id)],
        "meta": meta_list(event),
    }


def meta_list(record: Any) -> list[dict[str, Any]]:
    found = sorted(record.meta.all(), key=lambda meta: meta.pk)
    return [{"type": meta.kind, "key": meta.key, "value": plain(meta_value(meta))} for meta in found]


def plain(value: Any) -> Any:
    return to_ms(value) if isinstance(value, datetime) else value


def status_dict(status: CameraStatus, valid_to: datetime | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "status_id": status.status_id.hex,
        "camera_id": status.camera.camera_id,
        "lens": status.lens,
        "sensor": status.sensor,
        "inst_url": status.inst_url,
        "inst_name": status.inst_name,
        "software_version": status.software_version,
        "valid_from": to_ms(status.valid_from),
        "location": {
            "lat": status.latitude,
            "long": status.longitude,
            "gps": status.has_gps,
            "error": status.location_error,
        },
        "orientation": {
            **{name: getattr(status, field) for name, field in ORIENTATION},
            "width": status.width_of_field,
        },
        "regions": status.regions,
    }
    return told if valid_to is None else {**told, "valid_to": to_ms(valid_to)}


def parse_file(told: Any) -> FileData:
    read = Reader(told, "file")
    return FileData(
        file_id=read.identity("file_id"),
        camera_id=read.camera(),
        status_id=read.identity("status_id"),
        file_time=read.moment("file_time"),
        mime_type=read.text("mime_type"),
        semantic_type=read.text("semantic_type"),
        file_name=read.text("file_name", most=NAME_LENGTH_MAX) if read.has("file_name") else None,
        file_size=read.whole("file_size", least=0, most=2**63 - 1),
        md5=read.identity("md5").hex,
        meta=read.meta(),
    )


def parse_event(told: Any) -> EventData:
    read = Reader(told, "event")
    files = tuple(parse_file(file) for file in read.items("files", FILES_MAX))
    if len({file.file_id for file in files}) != len(files):
        raise Invalid("event.files names a file twice")
    return EventData(
        event_id=read.identity("event_id"),
        camera_id=read.camera(),
        status_id=read.identity("status_id"),
        event_time=read.moment("event_time"),
        event_type=read.text("event_type"),
        files=tuple(sorted(files, key=lambda file: file.file_id)),
        meta=read.meta(),
    )


def parse_status(told: Any) -> tuple[str, CameraStatus]:
    """The camera's name, and the status without its camera. `valid_to` is not read: it follows from the others."""
    read = Reader(told, "status")
    location, orientation = Reader(told.get("location"), "location"), Reader(told.get("orientation"), "orientation")
    status = CameraStatus(
        status_id=read.identity("status_id"),
        valid_from=read.moment("valid_from"),
        lens=read.text("lens"),
        sensor=read.text("sensor"),
        inst_url=read.text("inst_url", most=500) if read.has("inst_url") else "",
        inst_name=read.text("inst_name", most=200) if read.has("inst_name") else "",
        software_version=read.whole("software_version", least=-INTEGER_MAX, most=INTEGER_MAX - 1),
        latitude=location.number("lat"),
        longitude=location.number("long"),
        has_gps=bool(told["location"].get("gps", False)),
        location_error=location.number("error", 0.0),
        width_of_field=orientation.number("width", 0.0),
        regions=read.regions(),
        **{field: orientation.number(name) for name, field in ORIENTATION},
    )
    return read.camera(), status


class Reader:
    """Reads the fields of one JSON object."""

    def __init__(self, told: Any, name: str) -> None:
        if not isinstance(told, dict):
            raise Invalid(f"{name} is not an object")
        self.told, self.name = told, name

    def has(self, key: str) -> bool:
        return self.told.get(key) is not None

    def one(self, key: str, fits: Callable[[Any], bool]) -> Any:
        value = self.told.get(key)
        if not fits(value):
            raise Invalid(f"{self.name}.{key} is missing, or not of its kind")
        return value

    def text(self, key: str, *, most: int = TEXT_LENGTH_MAX) -> str:
        return str(self.one(key, lambda value: isinstance(value, str) and len(value) <= most and "\0" not in value))

    def camera(self) -> str:
        name = self.text("camera_id").strip()
        if not 0 < len(name) <= 64:
            raise Invalid(f"{self.name}.camera_id has 1 to 64 characters")
        return name

    def whole(self, key: str, *, least: int, most: int) -> int:
        return int(self.one(key, lambda value: type(value) is int and least <= value <= most))

    def number(self, key: str, usual: float | None = None) -> float:
        if usual is not None and not self.has(key):
            return usual
        return float(self.one(key, is_number))

    def moment(self, key: str) -> datetime:
        return from_ms(self.whole(key, least=MS_MIN, most=MS_MAX))

    def identity(self, key: str) -> uuid.UUID:
        try:
            return uuid.UUID(hex=self.text(key).strip())
        except ValueError:
            raise Invalid(f"{self.name}.{key} is not 32 hex digits") from None

    def items(self, key: str, most: int) -> list[Any]:
        value = self.told.get(key) or []
        if not isinstance(value, list) or len(value) > most:
            raise Invalid(f"{self.name}.{key} is not a list of at most {most}")
        return value

    def meta(self) -> tuple[MetaData, ...]:
        return tuple(parse_meta(told) for told in self.items("meta", META_MAX))

    def regions(self) -> list[list[dict[str, float]]]:
        regions = self.items("regions", REGIONS_MAX)
        for region in regions:
            if not isinstance(region, list) or len(region) > POINTS_MAX or not all(map(is_point, region)):
                raise Invalid(f"{self.name}.regions are lists of points with x and y")
        return [[{"x": point["x"], "y": point["y"]} for point in region] for region in regions]


def parse_meta(told: Any) -> MetaData:
    read = Reader(told, "meta")
    kind = read.text("type")
    if kind == "string":
        return MetaData(read.text("key"), kind, read.text("value", most=META_TEXT_LENGTH_MAX))
    if kind == "number":
        return MetaData(read.text("key"), kind, read.number("value"))
    if kind == "date":
        return MetaData(read.text("key"), kind, read.moment("value"))
    raise Invalid("meta.type is string, number or date")


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_point(value: Any) -> bool:
    return isinstance(value, dict) and is_number(value.get("x")) and is_number(value.get("y"))
