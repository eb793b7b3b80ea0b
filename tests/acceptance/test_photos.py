"""Photos of the example study, from a laptop to a server by every road."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.acceptance.photos import contents, left_parts, photo_states, run, take_photos
from tests.acceptance.test_middleman import new_middleman
from tests.processes import Installation, enrol, installation, running_web, start_web

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


@pytest.mark.long
@pytest.mark.parametrize("pair", ["sqlite", "postgresql"], indirect=True)
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


DELETE_IT = """
from syncserver.study.models import Participant
person = Participant.objects.get(identifier="P-1")
person.photo.delete(save=False)
person.delete()
"""
TWO_BY_RAW_SQL = """
from django.db import connection, transaction
from syncserver.study.models import Participant
with transaction.atomic(), connection.cursor() as cursor:
    cursor.execute("UPDATE study_participant SET photo = 'participants/nowhere.jpg' WHERE identifier = 'P-2'")
    cursor.execute("UPDATE study_participant SET photo = '../../etc/passwd' WHERE identifier = 'P-3'")
"""


@pytest.mark.long
def test_two_laptops_send_the_same_film_once_and_deleting_one_record_keeps_it(
    pair: tuple[Installation, Installation], tmp_path: Path
) -> None:
    laptop, central = pair
    other = installation(tmp_path, role="client", device="laptop-2", apps=[])
    film = a_file(tmp_path, "film.mp4", os.urandom(50 * 1024 * 1024))
    sha256 = hashlib.sha256(film.read_bytes()).hexdigest()
    with running_web(central) as web:
        for one in (laptop, other):
            enrol(one, central, web.url)
            take_photos(one, ("P-1", film), name="film.mp4")
        first = laptop.manage_json("push_transactions")["files"]
        second = other.manage_json("push_transactions")["files"]
        assert (first["files"], second["files"], second["bytes"]) == (1, 0, 0)
        run(laptop, DELETE_IT)
        laptop.manage("push_transactions")
    central.manage("consume_transactions")
    central.manage("clean_files", SYNC_FILES_GRACE_HOURS="0")
    assert list(contents(central)) == [sha256]
    states = photo_states(central)["states"]
    assert sorted((state[1], state[2]) for state in states) == [(False, "here"), (True, "here")]
    laptop.manage("clean_files", SYNC_FILES_GRACE_HOURS="0")
    assert contents(laptop) == {}, "the laptop keeps what its server holds and no record of its own names"
    assert list(contents(other)) == [sha256]


@pytest.mark.long
@pytest.mark.parametrize("pair", ["sqlite", "postgresql"], indirect=True)
def test_photos_reach_the_server_by_a_middleman_and_by_a_bundle(
    pair: tuple[Installation, Installation], tmp_path: Path
) -> None:
    laptop, central = pair
    photo, second = a_file(tmp_path, "a", JPEG), a_file(tmp_path, "b", os.urandom(200_000))
    stick = tmp_path / "stick"
    stick.mkdir()
    with running_web(central) as web:
        enrol(laptop, central, web.url)
        middleman = new_middleman(tmp_path, "relay-1", central, web)
        take_photos(laptop, ("P-1", photo), ("P-2", second))
        with running_web(laptop) as own:
            taken = middleman.manage_json("pull_transactions", "--laptop", own.url)["laptops"][0]["files"]
            again = middleman.manage_json("pull_transactions", "--laptop", own.url)["laptops"][0]["files"]
        assert (taken["files"], again["files"]) == (2, 0)
        assert len(contents(middleman)) == 2
        handed = middleman.manage_json("relay_transactions", "--files-bytes-max", "100K")["files"]
        assert (handed["files"], handed["waiting"]) == (1, 1)
        central.manage("consume_transactions")
        assert [state[2] for state in photo_states(central)["states"]] == ["here", "pending"]
        wrote = laptop.manage_json("export_bundle", "--to", str(stick))
        assert sum(one["contents"] for one in wrote["files"]) == 2
    imported = central.manage_json("import_bundle", *[str(path) for path in stick.iterdir()])
    assert "contents" in str(imported)
    assert [state[2] for state in photo_states(central)["states"]] == ["here", "here"]
    assert len(contents(central)) == 2
    with running_web(central) as web:
        assert middleman.manage_json("relay_transactions", "--to", web.url)["files"]["files"] == 0


@pytest.mark.long
def test_names_that_raw_sql_wrote_are_unknown_files_and_read_nothing(
    pair: tuple[Installation, Installation], tmp_path: Path
) -> None:
    laptop, central = pair
    photo = a_file(tmp_path, "a", JPEG)
    with running_web(central) as web:
        enrol(laptop, central, web.url)
        take_photos(laptop, ("P-1", photo), ("P-2", photo), ("P-3", photo))
        laptop.manage("push_transactions")
        run(laptop, TWO_BY_RAW_SQL)
        laptop.manage("push_transactions")
        central.manage("consume_transactions")
    assert laptop.manage_json("sync_status")["own"]["files"]["unknown"] == 2
    states = photo_states(central)["states"]
    assert sorted(state[2] for state in states if state[1]) == ["here", "unknown", "unknown"]
    assert len(contents(central)) == 1


KILLS = [
    ("central", "files.after_chunk"),
    ("central", "files.after_part"),
    ("central", "files.before_commit"),
    ("central", "files.after_commit"),
    ("laptop", "push.after_answer:2"),
]


@pytest.mark.long
@pytest.mark.parametrize(("where", "failpoint"), KILLS)
def test_a_kill_while_files_are_sent_loses_and_leaves_nothing(
    pair: tuple[Installation, Installation], tmp_path: Path, where: str, failpoint: str
) -> None:
    laptop, central = pair
    web = start_web(central)
    enrol(laptop, central, web.url)
    take_photos(laptop, ("P-1", a_file(tmp_path, "a", JPEG)), ("P-2", a_file(tmp_path, "b", os.urandom(100_000))))
    if where == "central":
        web.kill()
        web = start_web(central, port=web.port, SYNC_FAILPOINT=failpoint)
    env = {"SYNC_FAILPOINT": failpoint} if where == "laptop" else {}
    with laptop.start("push_transactions", env=env) as push:
        push.communicate(timeout=120)
    # a killed server process is replaced at once, and the push may get to its end all the same
    was_killed = push.returncode == -9 if where == "laptop" else "SIGKILL" in (central.folder / "web.log").read_text()
    assert was_killed, f"nothing passed {failpoint}"
    web.kill()
    web = start_web(central, port=web.port)
    laptop.manage("push_transactions")
    web.stop()
    central.manage("consume_transactions")
    assert [state[2] for state in photo_states(central)["states"]] == ["here", "here"]
    central.manage("clean_files", SYNC_FILES_GRACE_HOURS="0", SYNC_UPLOAD_HOURS="0")
    assert len(contents(central)) == 2
    assert [name for name in left_parts(central) if not name.endswith(".lock")] == []
