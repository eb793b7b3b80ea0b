"""The example study's participants with photos, as a laptop's own program makes them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tests.processes import Installation

MAKE = """
from datetime import UTC, datetime
from django.core.files import File
from sync_api.capture import sync_context
from syncserver.study.models import Household, Participant, Site
with sync_context(user="mona", reason="photo"):
    site, _ = Site.objects.get_or_create(code="MOC", defaults={{"name": "Mochudi"}})
    house, _ = Household.objects.get_or_create(site=site, number="1")
    for identifier, path in {people!r}:
        known = dict(household=house, given_name="Ada", family_name="K", sex="F")
        known["consented_at"] = datetime(2026, 1, 1, tzinfo=UTC)
        person, _ = Participant.objects.get_or_create(identifier=identifier, defaults=known)
        with open(path, "rb") as file:
            person.photo.save({name!r}, File(file))
"""
STATES = """
import json
from sync_api.files.reading import completeness, file_of
from syncserver.study.models import Participant
rows = Participant.mirror.filter(photo__isnull=False).exclude(photo="").select_related("mirror_device")
states = [[row.identifier, row.mirror_current, *[getattr(file_of("default", row, "photo"), name)
    for name in ("state", "sha256", "size", "media_type")]] for row in rows.order_by("mirror_pk")]
whole = {{name: [one.files, one.here, one.unknown] for name, one in completeness("default").items()}}
print(json.dumps({{"states": states, "completeness": whole}}))
"""


def run(installation: Installation, code: str) -> str:
    return installation.manage("shell", "--verbosity", "0", "-c", code)


def take_photos(laptop: Installation, *people: tuple[str, Path], name: str = "portrait.jpg") -> None:
    """Give each participant (made when needed) a photo with the bytes of a file."""
    run(laptop, MAKE.format(people=[(who, str(path)) for who, path in people], name=name))


def photo_states(server: Installation) -> dict[str, Any]:
    """What the server's mirror says: per version with a photo: who, current, state, sha256, size, type."""
    told: dict[str, Any] = json.loads(run(server, STATES.format()).strip().splitlines()[-1])
    return told


def contents(installation: Installation) -> dict[str, Path]:
    """The contents on an installation's disk, each checked against its name."""
    folder = installation.folder / "files" / installation.device / "contents"
    found = {path.name: path for path in folder.rglob("*") if path.is_file()}
    for sha256, path in found.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    return found


def left_parts(installation: Installation) -> list[str]:
    """What lies in the folder of parts."""
    folder = installation.folder / "files" / installation.device / "parts"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
