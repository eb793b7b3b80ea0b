"""Uploads over REST, through the Python client: the seed's scripts, lost answers, refusals."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest
from django.core.cache import cache
from django.test import Client

from sync_api.client.uploads import UploadClient
from sync_api.exceptions import ServerRefused, ServerUnreachable
from sync_api.models import Upload
from tests.integration.client.road import Road, cut_after, cut_before
from tests.integration.uploads.driving import Uploads
from tests.integration.uploads.scripts import BY_RECORD, SCRIPTS, Counts, Tablet, changes_only

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])
PASSWORD = "a-long-secret"
T = "2026-04-22T14:35:07.381+01:00"


@pytest.fixture
def served(server: str, settings: Any) -> str:
    settings.SYNC_SERVER_DATABASE = server
    settings.SYNC_ATTEMPTS_MAX = 3
    cache.clear()
    return server


class OverRest(Uploads):
    """A tablet that uploads through the client; `road` may spoil its requests."""

    def __init__(self, alias: str, *trouble: Any) -> None:
        super().__init__(alias)
        self.road = Road(*trouble)
        self.client = UploadClient(
            "https://server.example",
            user=self.user.username,
            password=PASSWORD,
            device=self.device.name,
            transport=self.road,
            sleep=lambda _: None,
        )


class OneStepOverRest(OverRest):
    def upload(self, tables: dict[str, list[dict[str, Any]]], *, preserving: bool) -> Counts:
        return changes_only(self.client.one_step(tables, preserving=preserving)["tables"])


class StepwiseOverRest(OverRest):
    def upload(self, tables: dict[str, list[dict[str, Any]]], *, preserving: bool) -> Counts:
        with self.client.start(preserving=preserving) as upload:
            upload.empty_tables([table for table, rows in tables.items() if not rows])
            for table, rows in tables.items():
                if rows and table in BY_RECORD:
                    told = [
                        [row.get(name) for row in rows] for name in ("id", "when_last_modified", "_move_off_tablet")
                    ]
                    upload.keys(table, told[0])
                    wanted = upload.wanted(table, told[0], told[1], moved=told[2])
                    for row in rows:
                        if row["id"] in wanted:
                            upload.record(table, row)
                elif rows:
                    upload.table(table, rows)
            return changes_only(upload.commit()["tables"])


@pytest.mark.parametrize("way", [OneStepOverRest, StepwiseOverRest])
@pytest.mark.parametrize("name", SCRIPTS)
def test_script_gives_the_seeds_counts_over_rest(served: str, name: str, way: type[Any]) -> None:
    Tablet().play(SCRIPTS[name], way(served))


def test_lost_requests_and_lost_answers_change_nothing(served: str) -> None:
    tablet = StepwiseOverRest(served, *[trouble for _ in range(12) for trouble in (cut_after, cut_before, None)])
    rows = {"patient": [{"id": 1, "surname": "Osei", "when_last_modified": T}], "blobs": [{"id": 1, "theblob": b"\0"}]}
    counts = tablet.upload(rows, preserving=True)
    assert counts == {"blobs": {"added": 1, "preserved": 1}, "patient": {"added": 1, "preserved": 1}}
    assert Upload.objects.using(served).filter(device=tablet.device).count() == 1


def test_a_move_whose_answer_never_came_is_asked_again_with_its_key(served: str) -> None:
    tablet = OneStepOverRest(served, cut_after, cut_after, cut_after)
    rows = {"patient": [{"id": 1, "surname": "Osei"}]}
    with pytest.raises(ServerUnreachable):
        tablet.client.one_step(rows, preserving=True, key="move-7")
    told = tablet.client.one_step(rows, preserving=True, key="move-7")
    assert told["tables"] == {"patient": {"added": 1, "preserved": 1}}
    assert tablet.versions("patient").count() == 1


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("one-step", {"device": "nobody", "tables": {}}, "device_not_registered"),
        ("one-step", {"tables": {}}, "invalid_request"),
        ("one-step", {"device": 5, "tables": {}}, "invalid_request"),
        ("one-step", {"device": "DEVICE"}, "invalid_request"),
        ("one-step", {"device": "DEVICE", "tables": [], "preserving": "yes"}, "invalid_request"),
        ("one-step", {"device": "DEVICE", "tables": []}, "rows_invalid"),
        ("one-step", {"device": "DEVICE", "tables": {"patient": None}}, "rows_invalid"),
        ("one-step", {"device": "DEVICE", "tables": {"nothing": []}}, "table_unknown"),
        ("one-step", {"device": "DEVICE", "tables": {"patient": [{"id": 1, "_era": "NOW"}]}}, "field_reserved"),
        ("one-step", {"device": "DEVICE", "tables": {}, "era": "NOW"}, "invalid_request"),
        ("5", {}, "method_not_allowed"),
        ("5/commit", {}, "upload_unknown"),
        ("00000000-0000-4000-8000-000000000000/commit", {}, "upload_unknown"),
        ("5/nothing", {}, "not_found"),
    ],
)
def test_a_refusal_is_a_problem_with_its_code(served: str, path: str, body: dict[str, Any], code: str) -> None:
    tablet = OverRest(served)
    if body.get("device") == "DEVICE":
        body = body | {"device": tablet.device.name}
    with pytest.raises(ServerRefused) as caught:
        tablet.client.post(f"uploads/{path}", body)
    assert caught.value.code == code
    assert not tablet.versions("patient").exists()


def test_an_upload_tells_its_state_to_its_user_only(served: str) -> None:
    tablet = OverRest(served)
    upload = tablet.client.start()
    seen = tablet.client.server.get(f"uploads/{upload.upload}").body
    assert (seen["state"], seen["device"], seen["reply"]) == ("open", tablet.device.name, None)
    answer = upload.commit()
    assert tablet.client.server.get(f"uploads/{upload.upload}").body["reply"] == answer
    with pytest.raises(ServerRefused, match="upload"):
        OverRest(served).client.server.get(f"uploads/{upload.upload}")


def test_without_name_and_password_nothing_is_taken(served: str) -> None:
    answer = Client().post("/api/v1/uploads", orjson.dumps({}), content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    tablet = OverRest(served)
    tablet.client.server.client.auth = httpx.BasicAuth(tablet.user.username, "wrong")
    with pytest.raises(ServerRefused) as caught:
        tablet.client.start()
    assert caught.value.code == "credentials_refused"


def test_a_body_that_is_too_large_is_refused(served: str, settings: Any) -> None:
    settings.SYNC_UPLOAD_BODY_BYTES_MAX = 200
    tablet = OverRest(served)
    with pytest.raises(ServerRefused) as caught:
        tablet.client.one_step({"patient": [{"id": key, "surname": "Osei"} for key in range(20)]})
    assert caught.value.code == "body_too_large"


def test_an_error_inside_leaves_the_block_with_the_upload_rolled_back(served: str) -> None:
    tablet = OverRest(served)
    with pytest.raises(ServerRefused), tablet.client.start() as upload:
        upload.table("patient", [{"id": 1}])
        upload.table("nothing", [])
    assert Upload.objects.using(served).get(device=tablet.device).state == "rolled_back"
    assert not tablet.versions("patient").exists()
