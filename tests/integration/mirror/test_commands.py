"""`snapshot` and `data_dictionary`."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext

from audit.reading.snapshot import csv_value, json_value
from tests.integration.mirror.committing import at, change, commit, committed_at, new_device, stamp
from tests.mirrored.models import Letter

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])


def letter(action, key, text, second):
    return change(action, Letter, key, (key, text), stamp(second))


def snapshot(server, *options):
    out = io.StringIO()
    call_command("snapshot", "mirrored.letter", "--database", server, *options, stdout=out)
    return out.getvalue()


@pytest.fixture
def device(server):
    device = new_device(server)
    commit(server, device, [letter("I", 2, 'a "b",\nc', 0), letter("I", 1, "", 0), letter("I", 3, None, 0)])
    return device


def test_csv_rows_in_key_order_with_empty_told_from_null(server, device):
    text = snapshot(server, "--as-of", "2026-03-01T09:00:00+01:00")
    assert text == 'id,text\r\n1,""\r\n2,"a ""b"",\nc"\r\n3,\r\n'
    assert list(csv.reader(io.StringIO(text, newline="")))[2] == ["2", 'a "b",\nc']


def test_json_lines(server, device):
    lines = snapshot(server, "--as-of", "now", "--format", "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"id": 1, "text": ""},
        {"id": 2, "text": 'a "b",\nc'},
        {"id": 3, "text": None},
    ]


def test_a_past_state_of_one_device_on_either_timeline(server, device):
    other = new_device(server)
    commit(server, other, [letter("I", 9, "other", 0)])
    rows = commit(server, device, [letter("U", 1, "later", 60), letter("D", 2, None, 61)])
    options = ("--device", device.name, "--format", "jsonl")
    before, after = ['{"id": 1, "text": ""}', '{"id": 1, "text": "later"}']
    assert before in snapshot(server, "--as-of", at(59).isoformat(), *options)
    assert snapshot(server, "--as-of", at(61).isoformat(), *options).splitlines()[0] == after
    moment = committed_at(rows)
    committed = ("--timeline", "committed", *options)
    assert after in snapshot(server, "--as-of", moment.isoformat(), *committed)
    assert before in snapshot(server, "--as-of", (moment - timedelta(microseconds=1)).isoformat(), *committed)


def test_a_file_appears_whole_or_not_at_all(server, device, tmp_path):
    path = tmp_path / "letters.csv"
    path.write_text("old")
    with pytest.raises(CommandError):
        snapshot(server, "--as-of", "3026-03-01T09:00:00Z", "--timeline", "committed", "--output", str(path))
    assert path.read_text() == "old"
    assert f"Wrote {path}" in snapshot(server, "--as-of", "now", "--output", str(path))
    assert path.read_bytes().startswith(b"id,text\r\n1,")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "arguments",
    [
        ("mirrored.nothing", "--as-of", "now"),
        ("letter", "--as-of", "now"),
        ("contenttypes.contenttype", "--as-of", "now"),
        ("mirrored.letter", "--as-of", "yesterday"),
        ("mirrored.letter", "--as-of", "2026-03-01T09:00:00"),
        ("mirrored.letter", "--as-of", "2026-13-01T09:00:00Z"),
        ("mirrored.letter", "--as-of", "now", "--device", "laptop-0"),
        ("mirrored.letter", "--as-of", "now", "--output", "/nowhere/at/all.csv"),
    ],
)
def test_a_users_mistake_is_a_sentence(server, arguments):
    with pytest.raises(CommandError):
        call_command("snapshot", *arguments, "--database", server, stdout=io.StringIO())


def test_rows_are_streamed(server, device):
    """One statement for all rows; SQLite and PostgreSQL both hand them out in portions."""
    with CaptureQueriesContext(connections[server]) as queries:
        snapshot(server, "--as-of", "now")
    assert len([query for query in queries if "letters_mirror" in query["sql"]]) <= 2


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (1.5, "1.5"),
        (float("-inf"), "-inf"),
        (Decimal("1.50"), "1.50"),
        (date(2026, 3, 1), "2026-03-01"),
        (datetime(2026, 3, 1, 8, 0, 0, 5, UTC), "2026-03-01T08:00:00.000005+00:00"),
        (timedelta(seconds=-1.5), "-P0DT00H00M01.500000S"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (b"\x00\xff", "00ff"),
        ({"a": "é"}, '"{""a"": ""é""}"'),
    ],
)
def test_every_kind_of_value_as_csv(value, text):
    assert csv_value(value) == text
    assert json.dumps(json_value(value)) is not None


def test_the_data_dictionary_names_every_column_of_every_mirror(server):
    out = io.StringIO()
    call_command("data_dictionary", "--format", "json", "--database", server, stdout=out)
    entries = json.loads(out.getvalue())
    columns = {(one["table"], one["column"]) for one in entries}
    with connections[server].cursor() as cursor:
        for table in ("letters_mirror", "mirrored_visit_mirror"):
            present = connections[server].introspection.get_table_description(cursor, table)
            assert {(table, column.name) for column in present} <= columns
    assert all(one["meaning"] and one["type"] and one["written_by"] for one in entries)
    site = next(one for one in entries if (one["table"], one["column"]) == ("mirrored_visit_mirror", "site_id"))
    assert (site["field"], site["written_by"]) == ("site", "the device")
    assert "refers to mirrored.Site" in site["meaning"]


@pytest.mark.parametrize("form", ["md", "csv"])
def test_the_data_dictionary_reads_as_a_page_and_as_a_table(form):
    out = io.StringIO()
    call_command("data_dictionary", "--format", form, "--database", "server", stdout=out)
    assert "mirrored_visit_mirror" in out.getvalue()
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(out.getvalue())))
        assert {row["model"] for row in rows} >= {"mirrored.visit", "mirrored.letter"}


@pytest.mark.parametrize("label", ["letter", "mirrored.letter.more", "mirrored.nobody"])
def test_a_label_that_is_no_models_is_told_in_words(label: str) -> None:
    with pytest.raises(CommandError, match=r"app_label\.model|nobody"):
        call_command("snapshot", label, "--as-of", "now")
