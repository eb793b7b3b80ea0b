"""The records' pages: who sees what, what a download holds, which commits touched a record."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.correct import correct
from audit.engine import preserve_device
from audit.erasure import empty_versions
from audit.mirror.tables import table_for
from audit.models import Device, TableChanges
from audit.reading.changes import Asked, changes
from audit.reading.download import Chosen, chosen_rows, in_pieces
from audit.reading.snapshot import snapshot_lines
from audit.transactions import immediate
from tests.integration.mirror.committing import at, change, commit, new_device, stamp
from tests.mirrored.models import Letter, Site, Visit

pytestmark = pytest.mark.django_db(databases=["default", "server", "server_pg"])

ERA = "2026-05-01T00:00:00+00:00"


def letter(action: str, key: int, text: str | None, second: int = 0) -> Any:
    return change(action, Letter, key, (key, text), stamp(second))


def site(action: str, key: int, name: str) -> Any:
    return change(action, Site, key, (key, name, True), stamp())


@pytest.fixture
def served(server: str, settings: Any) -> str:
    settings.SYNC_SERVER_DATABASE = server
    return server


@pytest.fixture
def client(served: str) -> Client:
    one = Client()
    one.force_login(User.objects.create_superuser("manager"))
    return one


def staff(*permissions: str) -> Client:
    user = User.objects.create_user("nurse", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    one = Client()
    one.force_login(user)
    return one


def text_of(answer: Any) -> str:
    return b"".join(answer.streaming_content).decode()


def downloaded(client: Client, label: str = "mirrored.letter", **asked: str) -> list[dict[str, Any]]:
    answer = client.get(reverse("records:download", args=[label]), {"format": "jsonl", **asked})
    assert answer.status_code == 200, answer.content
    return [json.loads(line) for line in text_of(answer).splitlines()]


def test_a_download_holds_what_is_current_and_hides_what_is_not(served: str, client: Client) -> None:
    device = new_device(served, "laptop-a")
    commit(served, device, [letter("I", 1, "one"), letter("I", 2, "two")])
    with immediate(served):
        preserve_device(served, device, ERA, "op", False)
    commit(served, device, [letter("I", 1, "another")])
    commit(served, device, [letter("U", 1, "changed", 5)])
    rows = [(row["_era"], row["id"], row["text"]) for row in downloaded(client)]
    assert rows == [(ERA, 1, "one"), ("NOW", 1, "changed"), (ERA, 2, "two")]
    assert [row["text"] for row in downloaded(client, era="NOW")] == ["changed"]
    assert [row["text"] for row in downloaded(client, era="NOW", as_of=at(1).isoformat())] == ["another"]
    assert [row["text"] for row in downloaded(client, device="laptop-a", era=ERA)] == ["one", "two"]
    every = downloaded(client, versions="all")
    assert [row["text"] for row in every] == ["one", "another", "changed", "two"]
    assert [row["_current"] for row in every] == [True, False, True, True]


def test_csv_is_safe_for_spreadsheets_and_loss_free_when_asked(served: str, client: Client) -> None:
    device = new_device(served, "laptop-a")
    commit(
        served,
        device,
        [letter("I", 1, "=1+cmd|' /C'"), letter("I", 2, "-3"), letter("I", 3, "a@b"), letter("I", 4, "")],
    )
    commit(served, device, [letter("I", 5, None), letter("I", 6, "\tx")])
    url = reverse("records:download", args=["mirrored.letter"])
    answer = client.get(url)
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="mirrored.letter-')
    rows = list(csv.DictReader(io.StringIO(text_of(answer))))
    assert [row["text"] for row in rows] == ["'=1+cmd|' /C'", "'-3", "a@b", "", "", "'\tx"]
    assert rows[0]["_device"] == "laptop-a"
    raw = list(csv.DictReader(io.StringIO(text_of(client.get(url, {"raw": "1"})))))
    assert [row["text"] for row in raw] == ["=1+cmd|' /C'", "-3", "a@b", "", "", "\tx"]


def test_a_download_needs_the_permission_of_the_mirror(served: str) -> None:
    url = reverse("records:download", args=["mirrored.letter"])
    assert Client().get(url).status_code == 302
    assert staff("view_sitemirror").get(url).status_code == 403
    User.objects.all().delete()
    allowed = staff("view_lettermirror")
    assert allowed.get(url).status_code == 200
    assert allowed.get(reverse("records:download", args=["mirrored.site"])).status_code == 403
    assert allowed.get(reverse("records:changes")).status_code == 403
    page = allowed.get(reverse("records:dictionary")).content.decode()
    assert "letters_mirror" in page
    assert "mirrored_site_mirror" not in page
    assert allowed.post(url).status_code == 405


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"format": "exe"}, "no format"),
        ({"as_of": "yesterday"}, "is not a moment"),
        ({"device": "nobody"}, "No device"),
        ({"as_of": "now", "timeline": "mine"}, "no timeline"),
        ({"as_of": "2999-01-01T00:00:00Z", "timeline": "committed"}, "future"),
    ],
)
def test_a_wrong_question_is_answered_in_a_sentence(client: Client, asked: dict[str, str], says: str) -> None:
    answer = client.get(reverse("records:download", args=["mirrored.letter"]), asked)
    assert answer.status_code == 400
    assert says in answer.content.decode()


def test_what_is_not_there_is_not_found(client: Client) -> None:
    for label in ("auth.user", "no.model", "nonsense"):
        assert client.get(reverse("records:download", args=[label])).status_code == 404


def test_memory_does_not_grow_with_the_rows(served: str) -> None:
    device = new_device(served)
    peaks = []
    for start, count in ((0, 2_000), (2_000, 30_000)):
        commit(served, device, [letter("I", start + number, "x" * 20) for number in range(count)])
        tracemalloc.start()
        lines = snapshot_lines(chosen_rows(table_for(Letter), served, Chosen()), "csv")
        size = sum(map(len, in_pieces(lines)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert size > 600_000
    assert peaks[1] < 2 * peaks[0] + 1_000_000


def test_every_change_of_one_record_is_found_by_key_and_by_number(served: str, client: Client) -> None:
    device, other = new_device(served, "laptop-a"), new_device(served, "laptop-b")
    commit(served, device, [letter("I", 1, "a"), letter("I", 2, "b")])
    commit(served, device, [letter("U", 2, "bb", 1)])
    commit(served, device, [letter("U", 1, "aa", 2)])
    commit(served, other, [letter("I", 1, "theirs")])
    correct(Letter, device=device, key=1, values={"text": "c"}, user="op", reason="typo", using=served)
    with immediate(served):
        preserve_device(served, device, ERA, "op", False)
    table = table_for(Letter)
    pks = list(Letter.mirror.using(served).history(device, 1).values_list("mirror_pk", flat=True))
    with immediate(served):
        empty_versions(served, device, {table: pks}, user="dr. ada", reason="asked for it")
    found = changes(served, Asked(table=table, key="1", device="laptop-a"))
    kinds = [sorted(row.keys) for row in found]
    assert kinds == [["erased"], ["preserved"], ["added", "modified"], ["added", "modified"], ["added"]]
    assert list(changes(served, Asked(table=table, mirror_pk=pks[0]))) == list(found)
    assert len(changes(served, Asked(table=table, key="1"))) == 6
    assert list(changes(served, Asked(table=table, key="no number"))) == []
    assert [row.text for row in changes(served, Asked(user="dr. ada"))] == ["asked for it"]
    page = client.get(reverse("records:changes"), {"table": "mirrored.letter", "key": "1", "device": "laptop-b"})
    assert page.content.decode().count("<tr") == 2
    assert "mirrored.letter (1 added, PKs [" in page.content.decode()
    wrong = client.get(reverse("records:changes"), {"key": "1"})
    assert wrong.status_code == 400


def test_ten_thousand_keys_are_kept_and_a_failure_has_its_row(served: str, client: Client) -> None:
    device = new_device(served, "laptop-a")
    commit(served, device, [letter("I", number, "x") for number in range(10_000)])
    row = TableChanges.objects.using(served).get()
    pks = list(Letter.mirror.using(served).order_by("mirror_pk").values_list("mirror_pk", flat=True))
    assert row.keys["added"] == pks
    assert row.line() == f"mirrored.letter (10000 added, PKs [{', '.join(map(str, pks))}])"
    facts = {"code": "upload_refused", "text": "A patient has no sex."}
    TableChanges.objects.using(served).create(
        device=device, model="mirrored.letter", committed_at=row.committed_at + timedelta(seconds=1), **facts
    )
    page = client.get(reverse("records:changes"), {"failed": "on"}).content.decode()
    assert "mirrored.letter (failed, upload_refused)" in page
    assert "A patient has no sex." in page
    assert "10000 added" not in page


def test_the_audit_is_paged_and_filtered_by_time(served: str, client: Client) -> None:
    device = new_device(served, "laptop-a")
    for number in range(60):
        commit(served, device, [letter("I", number, "x")])
    first = client.get(reverse("records:changes"), {"device": "laptop-a"})
    assert first.content.decode().count('class="moment"') == 50
    assert "Earlier changes" in first.content.decode()
    last = TableChanges.objects.using(served).order_by("-id")[49]
    second = client.get(reverse("records:changes"), {"device": "laptop-a", "before": str(last.pk)})
    assert second.content.decode().count('class="moment"') == 10
    with CaptureQueriesContext(connections[served]) as queries:
        client.get(reverse("records:changes"), {"table": "mirrored.letter", "until": "2001-01-01T00:00"})
    assert len(queries) < 10


def test_records_are_found_by_what_people_know_them_by(served: str, client: Client) -> None:
    device = new_device(served, "laptop-a")
    key = UUID(int=7)
    given = key.hex if connections[served].vendor == "sqlite" else key
    values = tuple({"id": given, "code": "V-7", "site": 1}.get(name) for name in table_for(Visit).columns)
    commit(served, device, [site("I", 1, "Mochudi"), change("I", Visit, key.hex, values, stamp())])
    page = client.get(reverse("records:front"), {"q": "moch"}).content.decode()
    assert page.count('<th scope="row">Mochudi') == 1
    assert '<th scope="row">V-7</th><td>Mochudi</td>' in page
    User.objects.all().delete()
    seen = staff("view_sitemirror").get(reverse("records:front"), {"q": "moch"}).content.decode()
    assert "V-7" not in seen


def test_the_dictionary_names_every_table_and_column(client: Client) -> None:
    page = client.get(reverse("records:dictionary")).content.decode()
    entries = json.loads(call_command("data_dictionary", format="json", database="default"))
    assert {entry["table"] for entry in entries if f"<code>{entry['table']}</code>" not in page} == set()
    assert {entry["column"] for entry in entries if f"<code>{entry['column']}</code>" not in page} == set()


def test_a_user_sees_the_devices_of_their_groups_and_those_without_one(served: str) -> None:
    for name, group in (("laptop-north", "north"), ("laptop-south", "south"), ("laptop-free", None)):
        device = new_device(served, name)
        if group is not None:
            Device.objects.using(served).filter(pk=device.pk).update(
                group=Group.objects.using(served).create(name=group)
            )
        commit(served, device, [letter("I", 1, f"of {name}"), site("I", 1, f"Mochudi of {name}")])
    client = staff("view_lettermirror", "view_sitemirror", "view_tablechanges")
    User.objects.get(username="nurse").groups.add(Group.objects.get_or_create(name="north")[0])
    assert sorted(row["text"] for row in downloaded(client)) == ["of laptop-free", "of laptop-north"]
    assert downloaded(client, device="laptop-south", versions="all") == []
    pages = [
        client.get(reverse("records:front"), {"q": "mochudi"}).content.decode(),
        client.get(reverse("records:changes")).content.decode(),
        client.get(reverse("records:changes"), {"device": "laptop-south"}).content.decode(),
    ]
    for page in pages:
        assert "Mochudi of laptop-south" not in page
    assert "Mochudi of laptop-north" in pages[0]
    assert "Mochudi of laptop-free" in pages[0]
    assert "laptop-south" not in pages[1]
    assert "laptop-north" in pages[1]
    assert 'class="moment"' not in pages[2]
    User.objects.get(username="nurse").groups.clear()
    assert [row["text"] for row in downloaded(client)] == ["of laptop-free"]
