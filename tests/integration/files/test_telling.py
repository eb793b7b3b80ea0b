"""From a saved file to the fact on a server: what a name means is fixed at the save, and told once."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import transaction

from audit.engine import preserve_device
from audit.erasure import empty_versions, finalized_lineage
from audit.mirror.tables import table_for
from audit.models import Device
from audit.transactions import immediate
from sync_api.deserializer import consume
from sync_api.exceptions import SyncError
from sync_api.files.checks import check_file_fields
from sync_api.files.cleaning import clean_files
from sync_api.files.erasing import erase_contents
from sync_api.files.fields import name_digest
from sync_api.files.hearing import keep_told
from sync_api.files.outgoing import outgoing_files, waiting_contents
from sync_api.files.reading import completeness, file_of, files_of
from sync_api.files.standing import own_files
from sync_api.files.store import ContentStore
from sync_api.models import FileFact, LocalDevice, StoredName
from sync_api.wire.format import Envelope
from sync_api.wire.header import read_header
from syncserver.study.models import Household, Participant, Site
from tests.integration.deserializer.received import Line, insert, update
from tests.integration.files.conftest import on_disk
from tests.integration.recipients.sealed import NAME, SERVER_NAMES, capture, knows, push, set_up, visible

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"])
SITE, HOUSE = uuid.UUID(int=1).hex, uuid.UUID(int=2).hex
PHOTO = b"\xff\xd8 a face"


@pytest.fixture
def server(laptop: str) -> str:
    """Each laptop's server is on the same kind of database."""
    return "server_pg" if laptop.endswith("_pg") else "server"


@pytest.fixture(autouse=True)
def at_the_laptop(laptop: str, server: str, settings: Any, tmp_path: Path) -> None:
    settings.SYNC_KEY_DIR = str(tmp_path / "keys")
    settings.SYNC_FILES_DATABASE = laptop
    settings.SYNC_DATABASES = {
        **settings.SYNC_DATABASES,
        laptop: {"role": "client", "device": NAME},
    }
    set_up(laptop, server)


def saved(content: bytes = PHOTO, name: str = "participants/portrait.jpg") -> str:
    return default_storage.save(name, ContentFile(content))


def person(number: int, photo: str, given_name: str = "Ada") -> dict[str, Any]:
    known = {"id": uuid.UUID(int=100 + number).hex, "identifier": f"P-{number}", "household": HOUSE, "sex": "F"}
    return {
        **known,
        "given_name": given_name,
        "family_name": "K",
        "consented_at": "2026-01-01 00:00:00",
        "photo": photo,
    }


def beginnings() -> list[Line]:
    site = insert(Site, id=SITE, code="MOC", name="Mochudi")
    return [site, insert(Household, id=HOUSE, site=SITE, number="1", village="")]


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def facts(alias: str) -> list[tuple[Any, ...]]:
    rows = FileFact.objects.using(alias).order_by("number", "id")
    return list(rows.values_list("number", "name_digest", "sha256", "size", "media_type", "is_sealed"))


def test_a_file_is_told_once_with_its_first_record(laptop: str, server: str) -> None:
    name = saved()
    capture(laptop, beginnings(), [insert(Participant, **person(1, name))], [insert(Participant, **person(2, name))])
    (envelope,) = push(laptop, server)
    place = [field[0] for field in envelope.header["models"][2]["fields"]].index("photo")
    assert envelope.header["files"] == [[2, place, sha(PHOTO), len(PHOTO), "image/jpeg"]]
    told = [(1, name_digest(name), sha(PHOTO), len(PHOTO), "image/jpeg", False)]
    assert facts(laptop) == facts(server) == told
    capture(laptop, [update(Participant, **person(1, name, "Eve"))])
    assert "files" not in push(laptop, server)[-1].header
    assert waiting_contents(laptop, "server-1", to_server=True) == [(sha(PHOTO), len(PHOTO))]


def test_a_replaced_file_is_told_as_each_record_meant_it(laptop: str, server: str) -> None:
    first = saved()
    capture(laptop, beginnings(), [insert(Participant, **person(1, first))])
    default_storage.delete(first)
    second = saved(b"another face", first)
    assert second != first
    assert not default_storage.exists("participants/never.jpg")
    capture(laptop, [update(Participant, **person(1, second))])
    push(laptop, server)
    assert [fact[2] for fact in facts(server)] == [sha(PHOTO), sha(b"another face")]
    with default_storage.open(second) as file:
        assert file.read() == b"another face"


def test_a_rolled_back_file_leaves_no_name(laptop: str, files_folder: Path) -> None:
    with pytest.raises(SyncError), transaction.atomic(using=laptop):
        saved()
        raise SyncError("rolled back")
    assert not StoredName.objects.using(laptop).exists()
    assert saved() == "participants/portrait.jpg"


def test_files_that_were_there_before_and_files_that_are_not(laptop: str, server: str, settings: Any) -> None:
    old = Path(settings.MEDIA_ROOT) / "participants" / f"old-{uuid.uuid4().hex}.png"
    old.parent.mkdir(parents=True, exist_ok=True)
    old.write_bytes(b"from before")
    names = [f"participants/{old.name}", "participants/nowhere.jpg", "../../etc/passwd", "/etc/passwd"]
    capture(laptop, beginnings(), *([insert(Participant, **person(n, name))] for n, name in enumerate(names)))
    (envelope,) = push(laptop, server)
    assert [entry[2:] for entry in envelope.header["files"]] == [[sha(b"from before"), 11, "image/png"]]
    device = LocalDevice.objects.using(laptop).get(name=NAME)
    assert own_files(laptop, device).unknown == 3
    consume(server)
    rows = list(Participant.mirror.using(server).order_by("identifier"))
    assert [file_of(server, row, "photo").state for row in rows] == ["pending", "unknown", "unknown", "unknown"]
    assert completeness(server)[NAME].pending == 1


def test_another_storage_is_warned_of_and_told_anew_when_its_file_changed(
    laptop: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Participant._meta.get_field("photo"), "storage", FileSystemStorage(str(tmp_path / "own")))
    assert [message.id for message in check_file_fields(None)] == ["sync_api.W020"]
    (tmp_path / "own").mkdir()
    for content in (b"one", b"two", b"two"):
        (tmp_path / "own" / "a.jpg").write_bytes(content)
        lines = [update(Participant, **person(1, "a.jpg", str(uuid.uuid4())))]
        capture(laptop, lines)
        push(laptop, server)
    assert [(fact[0], fact[2]) for fact in facts(server)] == [(1, sha(b"one")), (2, sha(b"two"))]


def test_facts_of_sealed_models_are_for_the_recipients_alone(laptop: str, server: str, settings: Any) -> None:
    settings.SYNC_SEALED_MODELS = {"study.Participant": [SERVER_NAMES[server]]}
    knows(laptop, SERVER_NAMES[server])
    capture(laptop, beginnings(), [insert(Participant, **person(1, saved()))])
    (envelope,) = push(laptop, server)
    assert "files" not in envelope.header
    for hidden in (sha(PHOTO), "image/jpeg", "portrait"):
        assert hidden not in visible(envelope)
    assert facts(server) == [(1, facts(laptop)[0][1], sha(PHOTO), len(PHOTO), "image/jpeg", True)]
    FileFact.objects.using(server).all().delete()
    assert keep_told(laptop, header_of(envelope), envelope.lines) == 0, "who has no key learned of a file"
    device = LocalDevice.objects.using(laptop).get(name=NAME)
    assert outgoing_files(laptop, device, after=0).files == []
    assert waiting_contents(laptop, "relay-1", to_server=False) == []
    assert waiting_contents(laptop, "server-1", to_server=True) == [(sha(PHOTO), len(PHOTO))]


def header_of(envelope: Envelope) -> Any:
    return read_header(envelope.header, lines=len(envelope.lines))


def test_an_entry_that_points_at_no_name_says_nothing(laptop: str, server: str) -> None:
    capture(laptop, beginnings())
    (envelope,) = push(laptop, server)
    entries = [[0, 99, "0" * 64, 1, "a/b"], [1, 4, "0" * 64, 1, "a/b"]]
    assert keep_told(server, read_header({**envelope.header, "files": entries}, lines=2), envelope.lines) == 0


def test_history_keeps_every_files_bytes_and_erasure_takes_only_its_own(
    laptop: str, server: str, files_folder: Path, django_capture_on_commit_callbacks: Any
) -> None:
    first, second = saved(), saved(b"later")
    capture(laptop, beginnings(), [insert(Participant, **person(1, first)), insert(Participant, **person(2, second))])
    capture(laptop, [update(Participant, **person(1, second))])
    push(laptop, server)
    consume(server)
    store = ContentStore(server)
    versions = list(Participant.mirror.using(server).filter(identifier="P-1").order_by("mirror_pk"))
    assert [file.state for file in files_of(server, versions, "photo").values()] == ["pending", "pending"]
    for content in (PHOTO, b"later"):
        store.take([content])
    older, newer = (file_of(server, version, "photo") for version in versions)
    assert (older.state, b"".join(store.read(older.sha256))) == ("here", PHOTO)
    assert (newer.state, b"".join(store.read(newer.sha256))) == ("here", b"later")
    assert completeness(server)[NAME].pending == 0
    assert clean_files(server).contents == 0
    with django_capture_on_commit_callbacks(using=server, execute=True):
        assert erase_contents(server, table_for(Participant), [version.pk for version in versions]) == 1
    assert store.lacking({sha(PHOTO), sha(b"later")}) == {sha(PHOTO)}, "the other participant's photo went too"
    assert sha(PHOTO) not in on_disk(files_folder / SERVER_NAMES[server])
    assert erase_contents(server, table_for(Participant), [version.pk for version in versions]) == 0


def test_erasing_a_finalized_record_takes_its_photo_along(
    laptop: str, server: str, files_folder: Path, django_capture_on_commit_callbacks: Any
) -> None:
    first, second = saved(), saved(b"later")
    capture(laptop, beginnings(), [insert(Participant, **person(1, first)), insert(Participant, **person(2, second))])
    push(laptop, server)
    consume(server)
    store = ContentStore(server)
    for content in (PHOTO, b"later"):
        store.take([content])
    device = Device.objects.using(server).get(name=NAME)
    with immediate(server):
        preserve_device(server, device, "2026-05-01T00:00:00+00:00", "ann", False)
    with django_capture_on_commit_callbacks(using=server, execute=True):
        table = table_for(Participant)
        lineage = finalized_lineage(server, table, device, person(1, "")["id"])
        empty_versions(server, device, {table: lineage.pks}, user="ann", reason="asked for it")
    assert store.lacking({sha(PHOTO), sha(b"later")}) == {sha(PHOTO)}
    assert sha(PHOTO) not in on_disk(files_folder / SERVER_NAMES[server])
    (version,) = Participant.mirror.using(server).filter(mirror_erased=True)
    assert file_of(server, version, "photo").state == "none"


def test_the_same_rows_are_told_in_the_same_bytes(laptop: str, server: str) -> None:
    from sync_api.sealing.pending import pending_rows
    from sync_api.sealing.seal import header_and_lines, told_files
    from sync_api.wire.keys import device_keys

    capture(laptop, beginnings(), [insert(Participant, **person(1, saved()))])
    device = LocalDevice.objects.using(laptop).get(name=NAME)
    rows = pending_rows(laptop, device)
    made = [
        orjson.dumps(header_and_lines(laptop, device, rows, device_keys(NAME), told)[0])
        for told in (told_files(laptop, NAME, device.epoch, rows) for _ in range(2))
    ]
    assert made[0] == made[1]
    assert b'"files"' in made[0]
