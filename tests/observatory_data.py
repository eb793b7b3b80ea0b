"""What MeteorPi's own tests use: 5 events with 17 files, and 6 files that are of no event."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

from syncserver.observatory.models import CameraStatus, Event, FileRecord
from syncserver.observatory.records import register_event, register_file, update_camera_status
from syncserver.observatory.wire import MetaData, event_dict, file_dict

CAMERA = "aabbccddeeff"
DAY = datetime(2026, 5, 4, 22, 0, 0, 123_000, tzinfo=UTC)
FILES_OF_EVENTS = (1, 2, 3, 5, 6)
LOOSE_FILES = 6


def status(**facts: Any) -> CameraStatus:
    usual = {
        "lens": "a lens",
        "sensor": "a sensor",
        "inst_url": "https://observatory.example",
        "inst_name": "an observatory",
        "software_version": 3,
        "latitude": 52.2,
        "longitude": 1e-07,
        "altitude": 45.0,
        "azimuth": 180.0,
        "regions": [[{"x": 0, "y": 0}, {"x": 10, "y": 0.5}, {"x": 0, "y": 10}]],
    }
    return CameraStatus(**{**usual, **facts})


def file_at(alias: str, moment: datetime, content: bytes, **facts: Any) -> FileRecord:
    usual: dict[str, Any] = {"mime_type": "image/png", "semantic_type": "meteorpi:still", "camera_id": CAMERA}
    return register_file(io.BytesIO(content), file_time=moment, alias=alias, **{**usual, **facts})


def event_at(alias: str, moment: datetime, files: list[FileRecord], **facts: Any) -> Event:
    usual: dict[str, Any] = {"event_type": "meteorpi:motion", "camera_id": CAMERA}
    return register_event(event_time=moment, files=files, alias=alias, **{**usual, **facts})


def fill(alias: str, *, camera: str = CAMERA) -> None:
    """The camera's status, its loose files, and its events, each later than the one before."""
    update_camera_status(status(), camera, DAY - timedelta(days=1), alias=alias)
    for number in range(LOOSE_FILES):
        meta = [MetaData("meteorpi:number", "number", number), MetaData("meteorpi:name", "string", f"loose-{number}")]
        content = f"loose file {number} of {camera}".encode() * 10
        file_at(alias, DAY + timedelta(minutes=number), content, camera_id=camera, meta=meta, file_name=f"{number}.png")
    for number, count in enumerate(FILES_OF_EVENTS):
        moment = DAY + timedelta(hours=1, minutes=number)
        files = [
            file_at(alias, moment, f"event {number} file {part} of {camera}".encode() * 10, camera_id=camera)
            for part in range(count)
        ]
        meta = [
            MetaData("meteorpi:brightness", "number", 1e-07 * (number + 1)),
            MetaData("meteorpi:seen_at", "date", moment),
            MetaData("meteorpi:name", "string", f"event-{number}"),
        ]
        event_at(alias, moment, files, camera_id=camera, meta=meta)


def all_events(alias: str) -> list[dict[str, Any]]:
    rows = Event.objects.using(alias).select_related("camera").prefetch_related("meta", "files__meta", "files__camera")
    return [event_dict(event) for event in rows.order_by("event_id")]


def all_files(alias: str, *, loose: bool = False) -> list[dict[str, Any]]:
    rows = FileRecord.objects.using(alias).select_related("camera").prefetch_related("meta").order_by("file_id")
    return [file_dict(file) for file in (rows.filter(events__isnull=True) if loose else rows)]
