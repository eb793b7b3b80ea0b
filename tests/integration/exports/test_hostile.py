"""What comes from outside to be imported, and where nothing may be sent: each gets its code, and nothing is stored."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.test import Client

from sync_api.client.export_line import ExportClient
from sync_api.client.notify import WebhookReceiver
from sync_api.exceptions import ExportCredentialsUnreadable, ExportTargetRefused
from sync_api.exports.conversation import ExportState
from sync_api.exports.credentials import read_password, set_password
from sync_api.exports.targets import checked_target
from sync_api.imports import receivers
from sync_api.imports.receivers import BaseImportReceiver, ImportRequest
from sync_api.models import ExportConfiguration, ImportedContent, ImportSession
from syncserver.observatory.models import CameraStatus, Event
from syncserver.observatory.records import update_camera_status
from syncserver.observatory.users import create_or_update_user, delete_user, get_user, get_users
from tests.integration.exports.conftest import EVENTS, FILES, PASSWORD, URL, USER, Pair
from tests.observatory_data import CAMERA, DAY, event_at, file_at, status

pytestmark = pytest.mark.django_db(databases=["default", "laptop_pg", "server", "server_pg"])

CONTENT = b"the bytes of a file"
MD5 = hashlib.md5(CONTENT).hexdigest()
A, B, C, D = ("a" * 32, "b" * 32, "c" * 32, "d" * 32)
IMPORT = "/compat/meteorpi/import"


def basic(user: str = USER, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def a_file(**facts: Any) -> dict[str, Any]:
    usual = {
        "file_id": A,
        "camera_id": CAMERA,
        "mime_type": "image/png",
        "semantic_type": "m:still",
        "meta": [],
        "file_time": 1_777_000_000_123,
        "file_size": len(CONTENT),
        "status_id": C,
        "md5": MD5,
    }
    return {**usual, **facts}


def an_event(**facts: Any) -> dict[str, Any]:
    usual = {
        "event_id": B,
        "camera_id": CAMERA,
        "event_type": "m:motion",
        "status_id": C,
        "meta": [],
        "event_time": 1_777_000_000_123,
        "files": [a_file()],
    }
    return {**usual, **facts}


def a_status(**facts: Any) -> dict[str, Any]:
    usual = {
        "status_id": C,
        "camera_id": CAMERA,
        "lens": "l",
        "sensor": "s",
        "software_version": 1,
        "valid_from": 0,
        "inst_url": "",
        "inst_name": "",
        "regions": [],
        "location": {"lat": 1e-07, "long": 0, "gps": True, "error": 0},
        "orientation": {"alt": 1, "az": 1, "error": 0, "rot": 0, "width": 1},
    }
    return {**usual, **facts}


class Sender:
    """Asks an import's address as another system would."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.client = Client(raise_request_exception=False)

    def post(self, body: Any, **options: Any) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = options.pop("headers", basic())
        return self.client.generic("POST", IMPORT, content, content_type="application/json", headers=headers, **options)

    def state(self, body: Any) -> Any:
        answer = self.post(body)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def upload(self, file_id: str, md5: str, content: bytes, name: str = "file") -> Any:
        from django.core.files.uploadedfile import SimpleUploadedFile

        part = SimpleUploadedFile("../../etc/passwd", content)
        return self.client.post(f"{IMPORT}/data/{file_id}/{md5}", {name: part}, headers=basic())


@pytest.fixture
def sender(pair: Pair, settings: Any, tmp_path: Path) -> Sender:
    """A sender to the target; the status C is there."""
    settings.SYNC_SERVER_DATABASE = pair.target
    settings.MEDIA_ROOT = str(tmp_path / "target")
    settings.SYNC_FILES_DIR = str(tmp_path / "target" / "files")
    sender = Sender(pair.target)
    assert sender.state({"type": "status", "status": a_status()}) == {"state": "continue"}
    return sender


def test_the_whole_handshake_and_a_rest_that_forgets_nothing(sender: Sender) -> None:
    CameraStatus.objects.using(sender.alias).all().delete()
    cached = {"type": "cached_entity", "cached_entity_id": B}
    assert sender.state(cached) == {"state": "continue-nocache"}
    assert sender.state({"type": "event", "event": an_event()}) == {"state": "need_status", "status_id": C}
    assert sender.state({"type": "status", "status": a_status()}) == {"state": "continue"}
    assert sender.state(cached) == {"state": "need_file_data", "file_id": A}
    answer = sender.upload(A, MD5, CONTENT)
    assert (answer.status_code, answer.json()) == (200, {"state": "continue"})
    assert sender.state(cached) == {"state": "complete"}
    assert sender.state({"type": "event", "event": an_event()}) == {"state": "complete"}
    assert Event.objects.using(sender.alias).count() == 1
    assert CameraStatus.objects.using(sender.alias).get().latitude == 1e-07
    assert not ImportSession.objects.using(sender.alias).exists()
    assert not ImportedContent.objects.using(sender.alias).exists()


@pytest.mark.parametrize(
    ("name", "header", "expected"),
    [
        ("none", {}, 401),
        ("wrong password", basic(password="wrong"), 401),
        ("unknown user", basic(user="nobody"), 401),
        ("not basic", {"Authorization": "Bearer abc"}, 401),
        ("not base64", {"Authorization": "Basic ???"}, 401),
        ("a NUL", basic(user="a\0b"), 401),
        ("not in the group", basic(user="viewer"), 403),
        ("not active", basic(user="gone"), 401),
    ],
)
def test_only_an_importing_user_gets_in(sender: Sender, name: str, header: dict[str, str], expected: int) -> None:
    users = get_user_model()._default_manager.db_manager(sender.alias)
    users.create_user("viewer", password=PASSWORD)
    users.create_user("gone", password=PASSWORD, is_active=False)
    for path in (IMPORT, f"{IMPORT}/data/{A}/{MD5}"):
        answer = sender.client.post(path, b"{}", content_type="application/json", headers=header)
        assert answer.status_code == expected
        assert answer["Content-Type"] == "application/problem+json"
        assert ("WWW-Authenticate" in answer) == (expected == 401)


def test_a_changed_password_or_role_counts_at_once(sender: Sender) -> None:
    assert sender.post({"type": "event", "event": an_event()}).status_code == 200
    create_or_update_user(USER, None, [], alias=sender.alias)
    assert sender.post({"type": "event", "event": an_event()}).status_code == 403
    create_or_update_user(USER, "another password", ["import"], alias=sender.alias)
    assert sender.post({"type": "event", "event": an_event()}).status_code == 401


def test_guessing_passwords_is_slowed(sender: Sender, settings: Any) -> None:
    settings.SYNC_IMPORT_REFUSALS_PER_MINUTE_MAX = 3
    answers = [sender.post({}, headers=basic(password=str(number))).status_code for number in range(5)]
    assert answers == [401, 401, 401, 429, 429]
    assert sender.post({}).status_code == 429, "the right one neither, from there"
    cache.clear()
    assert sender.post({"type": "event", "event": an_event()}).status_code == 200


BAD_BODIES: list[Any] = [
    b"",
    b"{",
    b"[]",
    b"type: event",
    b'{"type": "event", "event": {"event_id": NaN}}',
    {"type": "event"},
    {"type": "event", "event": []},
    {"type": "planet", "planet": {"planet_id": A}},
    {"type": "event", "event": an_event(event_id="x")},
    {"type": "event", "event": an_event(event_id=5)},
    {"type": "event", "event": an_event(event_time="now")},
    {"type": "event", "event": an_event(event_time=True)},
    {"type": "event", "event": an_event(event_time=10**30)},
    {"type": "event", "event": an_event(camera_id="")},
    {"type": "event", "event": an_event(camera_id="x" * 65)},
    {"type": "event", "event": an_event(camera_id="a\0b")},
    {"type": "event", "event": an_event(event_type="x" * 101)},
    {"type": "event", "event": an_event(files={})},
    {"type": "event", "event": an_event(files=[a_file(), a_file()])},
    {"type": "event", "event": an_event(files=[a_file(md5="x")])},
    {"type": "event", "event": an_event(files=[a_file(file_size=-1)])},
    {"type": "event", "event": an_event(files=[a_file(file_size=1.5)])},
    {"type": "event", "event": an_event(files=[a_file(file_id="../../etc/passwd")])},
    {"type": "event", "event": an_event(meta=[{"type": "number", "key": "k", "value": "1"}])},
    {"type": "event", "event": an_event(meta=[{"type": "number", "key": "k", "value": True}])},
    {"type": "event", "event": an_event(meta=[{"type": "other", "key": "k", "value": 1}])},
    {"type": "status", "status": a_status(location=None)},
    {"type": "status", "status": a_status(location={"lat": "1", "long": 1})},
    {"type": "status", "status": a_status(regions=[[{"x": 1}]])},
    {"type": "status", "status": a_status(regions=[1])},
    {"type": "tombstone", "tombstone": {"tombstone_id": A, "entity_type": "users"}},
    {"type": "cached_entity", "cached_entity_id": "' OR 1=1"},
    {"type": "records", "records": {}},
    {"type": "records", "records": [{}]},
]


def test_bad_bodies_are_refused_and_nothing_is_stored(sender: Sender) -> None:
    for body in BAD_BODIES:
        answer = sender.post(body)
        assert answer.status_code == 400, body
        assert answer.json()["code"] == "import_refused"
    assert not ImportSession.objects.using(sender.alias).exists()
    assert not Event.objects.using(sender.alias).exists()


def test_too_large_a_body_is_not_read(sender: Sender, settings: Any) -> None:
    settings.SYNC_IMPORT_BODY_BYTES_MAX = 100
    assert sender.post({"type": "event", "event": an_event()}).status_code == 413


def test_bytes_that_are_not_what_was_declared(sender: Sender, tmp_path: Path) -> None:
    def code(*arguments: Any) -> tuple[int, str]:
        answer = sender.upload(*arguments)
        return answer.status_code, answer.json()["code"]

    assert code(A, MD5, CONTENT) == (422, "content_refused"), "nobody declared it"
    assert sender.state({"type": "event", "event": an_event()}) == {"state": "need_file_data", "file_id": A}
    assert code(A, D, CONTENT) == (422, "content_refused"), "another MD5"
    assert code(B, MD5, CONTENT) == (422, "content_refused"), "a file of nobody"
    assert code(A, MD5, CONTENT[:-1]) == (422, "content_refused"), "shorter"
    assert code(A, MD5, CONTENT + b"x") == (422, "content_refused"), "longer"
    assert code(A, MD5, CONTENT.swapcase()) == (422, "content_refused"), "as long, and different"
    assert code(A, MD5, b"x" * 40_000) == (413, "import_too_large")
    assert code(A, MD5, CONTENT, "another part") == (400, "import_refused")
    assert code("..", MD5, CONTENT)[0] == 400
    assert not ImportedContent.objects.using(sender.alias).exists()
    assert not [path for path in (tmp_path / "target").rglob("*") if path.is_file()], "an orphan was left"
    assert sender.upload(A, MD5, CONTENT).status_code == 200
    stored = [path.name for path in (tmp_path / "target").rglob("*") if path.is_file()]
    assert stored == [hashlib.sha256(CONTENT).hexdigest()], "no name from outside"


def test_another_users_declaration_counts_for_nothing(sender: Sender) -> None:
    create_or_update_user("other", PASSWORD, ["import"], alias=sender.alias)
    assert sender.state({"type": "event", "event": an_event()})["state"] == "need_file_data"
    answer = sender.client.post(f"{IMPORT}/data/{A}/{MD5}", {}, headers=basic(user="other"))
    assert answer.status_code == 422


def test_half_received_entities_are_bounded(sender: Sender, settings: Any) -> None:
    settings.SYNC_IMPORT_SESSIONS_MAX = 3
    for number in range(6):
        body = an_event(event_id=f"{number:032x}")
        assert sender.state({"type": "event", "event": body})["state"] == "need_file_data"
    kept = ImportSession.objects.using(sender.alias).values_list("entity_id", flat=True)
    assert sorted(kept) == [f"{number:032x}" for number in (3, 4, 5)]
    cached = {"type": "cached_entity", "cached_entity_id": "0" * 32}
    assert sender.state(cached) == {"state": "continue-nocache"}, "it is simply sent again"


def test_bytes_without_their_record_are_bounded(sender: Sender, settings: Any) -> None:
    settings.SYNC_IMPORT_PENDING_BYTES_MAX = len(CONTENT) - 1
    sender.state({"type": "event", "event": an_event()})
    answer = sender.upload(A, MD5, CONTENT)
    assert (answer.status_code, answer.json()["code"]) == (429, "import_busy")


def test_only_post_and_only_where_something_is_imported(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sender.client.get(IMPORT, headers=basic()).status_code == 405
    monkeypatch.setattr(receivers, "REGISTERED", [])
    answer = sender.post({"type": "event", "event": an_event()})
    assert (answer.status_code, answer.json()["code"]) == (404, "import_not_configured")


class OnlyMoving(BaseImportReceiver):
    """A receiver of one's own: takes one type of event, and wants a site first."""

    def receive_event(self, request: ImportRequest) -> Any:
        if request.body["event_type"] != "m:moving":
            return request.response_failed("not that")
        return request.response_need_dependency("site", D)


def test_a_receiver_of_ones_own_decides(sender: Sender, settings: Any) -> None:
    settings.SYNC_IMPORT_RECEIVER = f"{__name__}.OnlyMoving"
    assert sender.state({"type": "event", "event": an_event()}) == {"state": "failed", "message": "not that"}
    moving = {"type": "event", "event": an_event(event_type="m:moving")}
    assert sender.state(moving) == {"state": "need_dependency", "type": "site", "id": D}
    assert sender.state({"type": "file", "file": a_file()}) == {"state": "complete"}
    assert sender.state({"type": "records", "records": [{"record_id": "laptop-1/1"}]}) == {"state": "complete"}


@pytest.mark.parametrize(("status_code", "state"), [(204, "complete"), (500, "failed"), (302, "failed")])
def test_a_gateway_tells_a_webhook(pair: Pair, status_code: int, state: str) -> None:
    asked: list[httpx.Request] = []

    def webhook(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status_code, headers={"Location": "http://localhost/else"})

    gateway = WebhookReceiver("http://localhost/hook", transport=httpx.MockTransport(webhook))
    answer = gateway.receive(ImportRequest(pair.target, USER, "event", B, an_event()))
    assert answer.state == state
    assert [json.loads(request.content) for request in asked] == [{"type": "event", "id": B, "user": USER}]


REFUSED_TARGETS = [
    "http://169.254.169.254/latest/meta-data",
    "https://internal.example/import",
    "https://user:pw@allowed.example/import",
    "https://allowed.example:8443/import",
    "https://allowed.example.evil.example/import",
    "https://allowed.example/import?next=http://internal",
    "https://allowed.example/import#x",
    "http://allowed.example/import",
    "file:///etc/passwd",
    "gopher://allowed.example/",
    "https://allowed.example\\@internal.example/",
    "https://[::1]/import",
    "https://127.0.0.1/import",
    "https://sub.evilallowed.example/",
    "https://allowed.example:99999/",
    "//allowed.example/import",
    "",
]


@pytest.mark.parametrize("url", REFUSED_TARGETS)
def test_nothing_is_sent_to_a_place_that_was_not_named(url: str, settings: Any) -> None:
    settings.SYNC_EXPORT_TARGETS = ["allowed.example", "*.sub.example", "localhost"]
    with pytest.raises(ExportTargetRefused):
        checked_target(url)


def test_targets_that_are_named(settings: Any) -> None:
    settings.SYNC_EXPORT_TARGETS = ["allowed.example", "*.sub.example", "127.0.0.1:*", "other.example:8443"]
    for url in (
        "https://allowed.example/x",
        "https://a.sub.example",
        "http://127.0.0.1:81",
        "https://other.example:8443",
    ):
        assert checked_target(url + "/") == url
    settings.SYNC_EXPORT_TARGETS = []
    with pytest.raises(ExportTargetRefused, match="SYNC_EXPORT_TARGETS"):
        checked_target("https://allowed.example/x")


def test_a_target_that_is_allowed_no_more_is_a_failure_without_a_request(pair: Pair, settings: Any) -> None:
    update_camera_status(status(), CAMERA, DAY - timedelta(days=1), alias=pair.source)
    file_at(pair.source, DAY, b"a file")
    configuration = pair.configure(FILES)
    settings.SYNC_EXPORT_TARGETS = []
    pair.exporter.mark()
    assert pair.exporter.handle_next_export() is ExportState.FAILED
    assert pair.road.requests == []
    assert "SYNC_EXPORT_TARGETS" in pair.fresh(configuration).last_error


def test_a_password_is_sealed_and_bound_to_its_target(pair: Pair, settings: Any) -> None:
    configuration = pair.configure(EVENTS)
    assert PASSWORD not in configuration.sealed_password
    assert read_password(configuration) == PASSWORD
    for name, value in (("target_url", "https://elsewhere.example/import"), ("target_user", "other")):
        moved = ExportConfiguration.objects.using(pair.source).get()
        setattr(moved, name, value)
        with pytest.raises(ExportCredentialsUnreadable):
            read_password(moved)
    twin = ExportConfiguration(target_url=URL, target_user=USER, sealed_password=configuration.sealed_password)
    with pytest.raises(ExportCredentialsUnreadable):
        read_password(twin)
    former = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new key", [former]
    assert read_password(configuration) == PASSWORD, "after the key was changed, with the old one as fallback"
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(ExportCredentialsUnreadable):
        read_password(configuration)
    settings.SYNC_EXPORT_KEY = "its own"
    set_password(configuration, "again")
    settings.SECRET_KEY = "yet another"
    assert read_password(configuration) == "again"


def test_an_answer_that_never_ends_is_cut(pair: Pair, settings: Any) -> None:
    settings.SYNC_EXPORT_ANSWER_BYTES_MAX = 1_000

    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            while True:
                yield b"x" * 100

    configuration = pair.configure(EVENTS)
    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Endless()))
    with ExportClient(transport=transport) as client:
        reply = client.connect(configuration).post({})
    assert reply.problem == "the answer is larger or slower than is read"


def test_users_and_roles(server: str) -> None:
    with pytest.raises(ValueError, match="needs a password"):
        create_or_update_user("new", None, ["import"], alias=server)
    with pytest.raises(ValueError, match="Roles are"):
        create_or_update_user("new", "pw", ["root"], alias=server)
    assert create_or_update_user("new", "pw", ["import"], alias=server) == "create"
    assert create_or_update_user("new", None, None, alias=server) == "none"
    assert create_or_update_user("new", None, ["user", "camera_admin"], alias=server) == "update"
    assert get_user("new", "pw", alias=server).roles == ("camera_admin", "user")
    assert create_or_update_user("new", "pw2", None, alias=server) == "update"
    with pytest.raises(ValueError, match="password is wrong"):
        get_user("new", "pw", alias=server)
    assert [user.user_id for user in get_users(alias=server)] == ["new"]
    assert delete_user("new", alias=server) is True
    assert delete_user("new", alias=server) is False


def test_an_events_file_that_is_already_the_targets_own_is_left_alone(pair: Pair) -> None:
    update_camera_status(status(), CAMERA, DAY - timedelta(days=1), alias=pair.source)
    event_at(pair.source, DAY, [file_at(pair.source, DAY, b"bytes")])
    pair.configure(EVENTS)
    pair.exporter.run()
    Event.objects.using(pair.target).update(imported_by="", event_type="own")
    Event.objects.using(pair.source).update(revision=2, event_type="changed")
    pair.exporter.run()
    assert Event.objects.using(pair.target).get().event_type == "own"
