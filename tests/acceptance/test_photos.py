"""Photos of the example study, from a laptop to a server by every road."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.acceptance.photos import contents, left_parts, photo_states, run, take_photos
from tests.processes import Installation, enrol, installation, running_web

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 100 + b"\xff\xd9"
OPEN_IT = """
import re
from django.contrib.auth.models import User
from django.test import Client
User.objects.filter(username="op").delete()
user = User.objects.create_superuser("op", password="x")
client = Client(headers={"host": "localhost"})
client.force_login(user)
from syncserver.study.models import Participant
row = Participant.mirror.get(identifier="P-1", mirror_current=True)
page = client.get(f"/admin/study/participantmirror/{row.pk}/change/").content.decode()
src = re.search(r'<img src="([^"]+)"', page)[1]
answer = client.get(src)
print(answer["Content-Type"], len(b"".join(answer.streaming_content)))
stranger = Client(headers={"host": "localhost"})
print(stranger.get(src).status_code)
"""


def a_file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.fixture
def pair(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Installation, Installation]:
    laptop = installation(tmp_path, role="client", device="laptop-1", apps=[])
    central = installation(
        tmp_path, role="server", device="central", apps=[], vendor=getattr(request, "param", "sqlite")
    )
    return laptop, central


@pytest.mark.parametrize("pair", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True)
def test_a_photo_comes_after_its_record_and_the_admin_shows_it(
    pair: tuple[Installation, Installation], tmp_path: Path
) -> None:
    laptop, central = pair
    small, large = a_file(tmp_path, "a", JPEG), a_file(tmp_path, "b", os.urandom(300_000))
    with running_web(central) as web:
        enrol(laptop, central, web.url)
        take_photos(laptop, ("P-1", small), ("P-2", large))
        told = laptop.manage_json("push_transactions", "--files-bytes-max", "100K")
        central.manage("consume_transactions")
        assert told["files"]["files"] == 1
        assert told["files"]["waiting"] == 1
        halfway = photo_states(central)
        assert [state[2] for state in halfway["states"]] == ["here", "pending"]
        assert halfway["completeness"]["laptop-1"] == [2, 1, 0]
        told = laptop.manage_json("push_transactions")
        assert told["files"]["files"] == 1
        assert told["files"]["bytes"] < 300_000 - 50_000, "what was sent before was sent again"
    states = photo_states(central)["states"]
    assert [state[2] for state in states] == ["here", "here"]
    assert states[0][3:] == [hashlib.sha256(JPEG).hexdigest(), len(JPEG), "image/jpeg"]
    assert len(contents(central)) == 2
    assert left_parts(central) == []
    assert run(central, OPEN_IT).split() == ["image/jpeg", str(len(JPEG)), "302"]
