"""A source and a target, each with its own database and bytes, and an exporter between them that is driven by hand.

The target is asked through its real views with all middleware; only the network is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.cache import cache
from django.test import Client, override_settings

from sync_api.client.export_line import ExportClient
from sync_api.compat.meteorpi import authentication
from sync_api.conf import Installation, at_work
from sync_api.exports.credentials import set_password
from sync_api.exports.exporter import Exporter
from sync_api.files.places import Folder
from sync_api.files.store import ContentStore
from sync_api.models import ExportConfiguration, ExportTask

USER, PASSWORD = "replica", "a long password"
URL = "http://localhost/compat/meteorpi/import"
EVENTS, FILES = "observatory.Event", "observatory.FileRecord"


@dataclass
class Clock:
    now: datetime = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


Intercept = Callable[[httpx.Request], httpx.Response | None]


def told(status: int, content: bytes | dict[str, Any] = b"", headers: dict[str, str] | None = None) -> httpx.Response:
    """An answer as it comes over a network, to be read piece by piece."""
    body = json.dumps(content).encode() if isinstance(content, dict) else content
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(body))


@dataclass
class Target(httpx.BaseTransport):
    """Answers as the target would, with its database and folder. `intercept` may answer in its place."""

    alias: str
    folder: Path
    requests: list[tuple[str, Any]] = field(default_factory=list)
    intercept: Intercept | None = None
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        is_json = request.headers.get("content-type") == "application/json"
        self.requests.append((request.url.path, json.loads(body) if is_json else len(body)))
        if self.intercept is not None and (answer := self.intercept(request)) is not None:
            return answer
        installation = Installation(alias=self.alias, keys=self.folder, app_version="1")
        with override_settings(MEDIA_ROOT=str(self.folder)), at_work(installation):
            answer = self.client.generic(
                request.method,
                request.url.raw_path.decode(),
                body,
                content_type=request.headers.get("content-type", ""),
                headers={"Authorization": request.headers.get("Authorization", "")},
            )
        return told(answer.status_code, answer.content, dict(answer.headers))

    @property
    def told(self) -> list[str]:
        """The requests in short: the type of each body, and `data` for an upload."""
        return [body["type"] if isinstance(body, dict) else "data" for _, body in self.requests]


@dataclass
class Pair:
    source: str
    target: str
    road: Target
    clock: Clock
    exporter: Exporter

    def configure(self, entity_type: str, search: dict[str, Any] | None = None, **facts: Any) -> ExportConfiguration:
        usual: dict[str, Any] = {
            "name": entity_type,
            "protocol": "meteorpi",
            "target_url": URL,
            "target_user": USER,
            "is_enabled": True,
        }
        configuration = ExportConfiguration(entity_type=entity_type, search=search or {}, **{**usual, **facts})
        set_password(configuration, PASSWORD)
        configuration.save(using=self.source, force_insert=True)
        return configuration

    def tasks(self) -> list[ExportTask]:
        return list(ExportTask.objects.using(self.source).order_by("due_at", "id"))

    def fresh(self, configuration: ExportConfiguration) -> ExportConfiguration:
        return ExportConfiguration.objects.using(self.source).get(pk=configuration.pk)


def path_of(alias: str, sha256: str) -> Path:
    """Where this installation's store keeps a content."""
    place = ContentStore(alias).place
    assert isinstance(place, Folder)
    return place.path(sha256)


def new_exporter(alias: str, road: httpx.BaseTransport, clock: Clock) -> Exporter:
    client = ExportClient(transport=road)
    return Exporter(alias, client.connect, clock=clock, jitter=lambda least, most: least)


@pytest.fixture(params=[("default", "server"), ("laptop_pg", "server_pg")], ids=["sqlite", "postgresql"])
def pair(request: pytest.FixtureRequest, tmp_path: Path, db: None, settings: Any) -> Pair:
    source, target = request.param
    settings.MEDIA_ROOT = str(tmp_path / "source")
    settings.SYNC_FILES_DIR = str(tmp_path / "source" / "files")
    settings.SYNC_EXPORT_TARGETS = ["localhost"]
    authentication.believed.clear()
    cache.clear()
    user = get_user_model()._default_manager.db_manager(target).create_user(username=USER, password=PASSWORD)
    user.groups.add(Group.objects.using(target).get_or_create(name="import")[0])
    road, clock = Target(target, tmp_path / "target"), Clock()
    return Pair(source, target, road, clock, new_exporter(source, road, clock))
