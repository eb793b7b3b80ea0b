"""Random uploads of random tables against the rules in plain Python: mirror, eras, chains, counts, and the past."""

from __future__ import annotations

import uuid
from collections import Counter
from copy import deepcopy
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from audit.index import check_index
from sync_api.exceptions import UploadNotOpen
from sync_api.models import Upload, UploadStep
from sync_api.uploads import operations
from tests.integration.uploads import rules
from tests.integration.uploads.driving import Uploads, new_user
from tests.integration.uploads.rules import Content, Said

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])

TABLES = ("patient", "ref_satis_gen")
TEXT = {"patient": "surname", "ref_satis_gen": "service"}
LISTED = frozenset({2, 3})
"""What "listed after" says, once all is sent, that the table holds."""
TIMES = [None, "2026-04-22T10:00:00+01:00", "2026-04-22T11:00:00+00:00", "2026-04-22T12:00:00-03:30"]

tables = st.sampled_from(TABLES)
keys = st.integers(1, 3)
save = st.tuples(st.just("save"), tables, keys, st.tuples(st.sampled_from("abc"), st.sampled_from(TIMES)))
delete = st.tuples(st.just("delete"), tables, keys)
upload = st.fixed_dictionaries(
    {
        "way": st.sampled_from(["whole", "stepwise", "by record", "some records", "listed after"]),
        "preserving": st.sampled_from([False, False, True]),
        "moved": st.sampled_from([frozenset[int]()] * 3 + [frozenset({1}), frozenset({1, 2})]),
        "ending": st.sampled_from(["commit"] * 4 + ["roll back", "leave open"]),
        "is_repeated": st.booleans(),
        "user": st.integers(0, 1),
    }
)
actions = st.lists(st.one_of(save, save, save, delete, upload, upload, st.just("force finalize")), max_size=14)


class Played(Uploads):
    """A tablet, its two users, and what the rules say of it."""

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self.users = [self.user, new_user(alias)]
        self.rules = rules.Server()
        self.tables: dict[str, dict[int, Content]] = {table: {} for table in TABLES}
        self.past: list[tuple[datetime, Counter[Any]]] = []

    def play(self, action: Any) -> None:
        if action == "force finalize":
            assert self.force_finalize() == self.rules.force_finalize()
        elif isinstance(action, dict):
            self.send(**action)
        elif action[0] == "save":
            self.tables[action[1]][action[2]] = action[3]
        else:
            self.tables[action[1]].pop(action[2], None)

    def send(
        self, *, way: str, preserving: bool, moved: frozenset[int], ending: str, is_repeated: bool, user: int
    ) -> None:
        self.user = self.users[user]
        said = {table: self.said(way, table, moved) for table in TABLES}
        if way == "whole":
            body = self.one_step(preserving, moved, is_repeated)
        else:
            body = self.steps(way, said, preserving, moved, ending, is_repeated)
        if body is None:
            return
        assert body["tables"] == self.rules.upload(deepcopy(said), preserving=preserving)
        self.past.append((datetime.fromisoformat(body["committed_at"]), self.rules.shown()))
        for table, rows in self.tables.items():
            for key in [key for key in rows if preserving or key in said[table].moved]:
                del rows[key]

    def said(self, way: str, table: str, moved: frozenset[int]) -> Said:
        rows = dict(self.tables[table])
        if way in ("whole", "stepwise"):
            return Said(rows, set(), moved & rows.keys())
        if way == "some records":
            return Said({key: rows[key] for key in rows if key > 1}, None, moved & rows.keys() - {1})
        if way == "listed after":
            listed = {key: rows[key] for key in rows if key in LISTED}
            return Said(listed, set(LISTED - rows.keys()), moved & listed.keys())
        wanted = self.rules.wanted(table, rows)
        return Said({key: rows[key] for key in rows if key in wanted}, rows.keys() - wanted, moved & rows.keys())

    def row(self, table: str, key: int, moved: frozenset[int]) -> dict[str, Any]:
        text, when = self.tables[table][key]
        return {"id": key, TEXT[table]: text, "when_last_modified": when, "_move_off_tablet": int(key in moved)}

    def one_step(self, preserving: bool, moved: frozenset[int], is_repeated: bool) -> dict[str, Any]:
        told = {table: [self.row(table, key, moved) for key in self.tables[table]] for table in TABLES}
        key = uuid.uuid4().hex
        reply = self.whole(told, preserving=preserving, key=key)
        if is_repeated:
            assert self.whole(told, preserving=preserving, key=key).body == reply.body
        return reply.body

    def steps(
        self, way: str, said: dict[str, Said], preserving: bool, moved: frozenset[int], ending: str, is_repeated: bool
    ) -> dict[str, Any] | None:
        upload = self.start()
        if preserving:
            self.do("start_preservation", upload)
        for table in TABLES:
            for _ in range(1 + is_repeated):
                self.fill(way, upload, table, said[table], moved)
        if ending == "leave open":
            return None
        body = self.do("end_upload" if ending == "commit" else "roll_back", upload)
        if is_repeated:
            assert self.do("end_upload" if ending == "commit" else "roll_back", upload) == body
        if ending == "commit":
            return body
        with pytest.raises(UploadNotOpen):
            self.do("end_upload", upload)
        return None

    def fill(self, way: str, upload: str, table: str, said: Said, moved: frozenset[int]) -> None:
        rows = [self.row(table, key, moved) for key in self.tables[table]]
        if way == "stepwise" and rows:
            self.do("upload_table", upload, table=table, rows=rows, key=f"{table}-rows")
        elif way == "stepwise":
            self.do("upload_empty_tables", upload, tables=[table])
        elif way == "listed after":
            for row in rows:
                self.do("upload_record", upload, table=table, row=row)
            self.do("delete_where_key_not", upload, table=table, keys=sorted(LISTED))
        else:
            if way == "by record":
                told = {name: [row[name] for row in rows] for name in ("id", "when_last_modified", "_move_off_tablet")}
                wanted = self.do(
                    "which_keys_to_send",
                    upload,
                    table=table,
                    keys=told["id"],
                    modified=told["when_last_modified"],
                    moved=told["_move_off_tablet"],
                    key=f"{table}-wanted",
                )["keys"]
                assert set(wanted) == said.rows.keys()
            for row in rows:
                if row["id"] in said.rows:
                    self.do("upload_record", upload, table=table, row=row)

    def check(self) -> None:
        versions = {table: list(self.versions(table)) for table in TABLES}
        moments = dict.fromkeys(sorted({v.mirror_era for rows in versions.values() for v in rows} - {"NOW"}))
        eras = {"NOW": "NOW"} | {era: number for number, era in enumerate(moments, 1)}
        held: Counter[Any] = Counter()
        for table, rows in versions.items():
            by_pk = {row.mirror_pk: row for row in rows}
            for row in rows:
                follower = by_pk.get(row.mirror_successor)
                assert follower is None or follower.mirror_predecessor == row.mirror_pk
                assert (row.mirror_removed_at is None) == row.mirror_current
                chain = chain_of(row, by_pk, table)
                held[
                    table, row.id, eras[row.mirror_era], row.mirror_current, row.mirror_successor is not None, chain
                ] += 1
        assert held == self.rules.held()
        assert check_index(self.alias) == (0, [])

    def check_past(self) -> None:
        for moment, shown in self.past:
            seen: Counter[Any] = Counter()
            for table in TABLES:
                for row in self.versions(table).as_of(moment, "committed"):
                    seen[table, row.id, content_of(row, table)] += 1
            assert seen == shown


def chain_of(row: Any, by_pk: dict[int, Any], table: str) -> tuple[Content, ...]:
    before = by_pk.get(row.mirror_predecessor)
    return (*(chain_of(before, by_pk, table) if before is not None else ()), content_of(row, table))


INSTANTS = {None if when is None else datetime.fromisoformat(when): when for when in TIMES}


def content_of(row: Any, table: str) -> Content:
    return getattr(row, TEXT[table]), INSTANTS[row.when_last_modified]


def run(server: str, played: list[Any]) -> None:
    tablet = Played(server)
    for action in played:
        tablet.play(action)
        tablet.check()
    tablet.check_past()
    open_ones = Upload.objects.using(server).filter(device=tablet.device, state="open")
    staged = UploadStep.objects.using(server).filter(upload__device=tablet.device, content__isnull=False)
    assert not staged.exclude(upload__in=open_ones).exists()
    assert open_ones.count() <= 1


def sent(way: str, **facts: Any) -> dict[str, Any]:
    plain = {"preserving": False, "moved": frozenset(), "ending": "commit", "is_repeated": False, "user": 0}
    return {"way": way, **plain, **facts}


WALK: list[Any] = [
    ("save", "patient", 1, ("a", TIMES[1])),
    ("save", "patient", 2, ("a", TIMES[1])),
    sent("whole"),
    ("save", "patient", 2, ("b", TIMES[2])),
    sent("by record", is_repeated=True),
    ("delete", "patient", 2),
    sent("some records"),
    sent("by record", ending="leave open"),
    sent("by record", moved=frozenset({1}), user=1),
    ("save", "patient", 1, ("c", None)),
    sent("stepwise", ending="roll back"),
    sent("by record"),
    "force finalize",
    ("save", "patient", 3, ("a", TIMES[1])),
    sent("whole"),
    ("save", "patient", 3, ("b", TIMES[2])),
    ("save", "patient", 2, ("c", TIMES[2])),
    sent("listed after", moved=frozenset({1, 2})),
    sent("stepwise", preserving=True, is_repeated=True),
]
"""Each way at least once, whatever the examples drawn are."""

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=15, deadline=None, suppress_health_check=QUIET)
@given(played=actions)
@example(played=WALK)
def test_uploads_follow_the_rules(server: str, played: list[Any]) -> None:
    run(server, played)


@pytest.mark.long
@settings(max_examples=120, deadline=None, suppress_health_check=QUIET)
@given(played=actions)
def test_uploads_follow_the_rules_at_length(server: str, played: list[Any]) -> None:
    run(server, played)


def test_the_repeated_request_of_another_user_is_not_answered(server: str) -> None:
    tablet = Played(server)
    tablet.whole({"patient": [{"id": 1}]}, key="one")
    tablet.user = tablet.users[1]
    reply = operations.upload_entire_database(
        server, user=tablet.user, device=tablet.device, tables={"patient": [{"id": 1}]}, key="two"
    )
    assert reply.body["tables"] == {"patient": {"identical": 1}}
