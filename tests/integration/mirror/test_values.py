"""What a mirror gives back is what the device itself reads."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import DatabaseError, connections, transaction

from audit.correct import correct
from audit.engine import load_current, plan
from audit.engine.values import same_values
from audit.exceptions import InvalidValue, NothingToCorrect
from audit.mirror.tables import table_for
from audit.transactions import immediate
from tests.integration.mirror.committing import change, commit, new_device, stamp
from tests.mirrored.models import Letter, Visit

pytestmark = pytest.mark.django_db(databases=["server", "server_pg"])

KEY = UUID("00000000-0000-4000-8000-00000000000a")
FULL = {
    "id": KEY,
    "site": 2**60,
    "follows": UUID("ffffffff-ffff-4fff-bfff-ffffffffffff"),
    "nurse": '["amina"]',
    "code": "v-1",
    "note": "tab\t, backslash \\, newline\n, quote ', “” 𝄞 \\N",
    "weight": 0.1 + 0.2,
    "dose": Decimal("12345.678"),
    "count": 2**31 - 1,
    "on": date(1, 1, 1),
    "at": datetime(2026, 3, 1, 8, 0, 0, 1, UTC),
    "took": timedelta(days=-1, microseconds=1),
    "raw": b"\x00\\\xff",
    "answers": {"a": [1, None, "é"], "b": {"c": 0.1}},
    "done": True,
    "photo": "photos/1.jpg",
    "content_type": "auth.user",
    "object_id": 2**62,
}
EMPTY = {**dict.fromkeys(FULL), "id": KEY, "code": "", "note": "", "raw": b"", "answers": {}}


def parameters(alias, values):
    """As a consumer makes them: text where PostgreSQL reads text."""
    connection = connections[alias]
    mirror = Visit.mirror.model
    made = []
    for name in table_for(Visit).columns:
        value = values[name]
        if connection.vendor == "postgresql" and isinstance(value, UUID):
            made.append(value.hex)
        elif connection.vendor == "postgresql" and isinstance(value, datetime | date | Decimal):
            made.append(str(value))
        else:
            made.append(mirror._meta.get_field(name).get_db_prep_save(value, connection))
    return tuple(made)


def visit(alias, values, action="I", when=0):
    return change(action, Visit, KEY.hex, parameters(alias, values), stamp(when))


@pytest.mark.parametrize("values", [FULL, EMPTY], ids=["full", "empty"])
def test_values_come_back_as_they_were(server, values):
    commit(server, new_device(server), [visit(server, values)])
    row = Visit.mirror.using(server).get()
    read = {name: getattr(row, name) for name in values}
    read["raw"] = None if read["raw"] is None else bytes(read["raw"])
    assert read == values


@pytest.mark.parametrize("number", [math.inf, -math.inf, 5e-324, 1.7976931348623157e308])
def test_extreme_floats_come_back(server, number):
    commit(server, new_device(server), [visit(server, {**FULL, "weight": number})])
    assert Visit.mirror.using(server).get().weight == number


def test_who_when_where_and_why_are_read_on_the_version(server):
    device = new_device(server, "tablet-9")
    commit(server, device, [visit(server, FULL)])
    later = {**FULL, "note": "second"}
    ends = stamp(60, user="bo", reason="typing error")
    commit(server, device, [change("U", Visit, KEY.hex, parameters(server, later), ends)])
    first, second = Visit.mirror.using(server).history("tablet-9", KEY)
    assert (first.mirror_captured_by, first.mirror_captured_on) == ("ada", "laptop/host/default")
    assert (first.mirror_removed_captured_by, first.mirror_removed_captured_reason) == ("bo", "typing error")
    assert (second.mirror_captured_by, second.mirror_captured_reason) == ("bo", "typing error")
    assert (second.mirror_utc_offset, second.mirror_added_by, second.mirror_app_version) == (
        120,
        "consumer",
        "1.0",
    )
    assert (first.mirror_successor, second.mirror_predecessor) == (second.mirror_pk, first.mirror_pk)


@pytest.mark.parametrize("values", [FULL, EMPTY], ids=["full", "empty"])
def test_an_identical_baseline_writes_nothing(server, values):
    device = new_device(server)
    commit(server, device, [visit(server, values)])
    (changes,) = commit(server, device, [visit(server, values, "B", 9)])
    assert (changes.identical, changes.added, changes.keys) == (1, 0, {})
    assert Visit.mirror.using(server).count() == 1


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("weight", 0.3),
        ("dose", Decimal("12345.679")),
        ("answers", {"a": []}),
        ("raw", b"\x00"),
        ("took", timedelta(0)),
        ("at", datetime(2026, 3, 1, 8, tzinfo=UTC)),
        ("done", False),
        ("follows", None),
        ("note", ""),
    ],
)
def test_a_differing_baseline_is_a_failure(server, field, other):
    device = new_device(server)
    commit(server, device, [visit(server, FULL)])
    table = table_for(Visit)
    with immediate(server):
        current = load_current(server, device.pk, {table: [KEY.hex]}, {table})
        planned = plan([visit(server, {**FULL, field: other}, "B")], current)
    assert [failure.code for failure in planned.failures] == ["baseline_differs"]
    assert "ffffffff" not in planned.failures[0].text


def test_nan_equals_nan_in_a_baseline(server):
    table = table_for(Visit)
    one = parameters(server, {**FULL, "weight": math.nan})
    assert same_values(table, one, parameters(server, {**FULL, "weight": math.nan}))


def test_what_the_database_refuses_is_a_database_error_of_django():
    device = new_device("server_pg")
    with pytest.raises(DatabaseError), transaction.atomic(using="server_pg"):
        commit("server_pg", device, [change("I", Letter, 1, (1, "x" * 21), stamp())])
    assert not Letter.mirror.using("server_pg").exists()


def test_statements_do_not_depend_on_the_number_of_rows(server):
    device = new_device(server)
    commit(server, device, [change("I", Letter, 9_999, (9_999, "first of all"), stamp())])
    counts = []
    for start, rows in ((0, 10), (1_000, 500)):
        inserts = [change("I", Letter, start + n, (start + n, "a"), stamp(n)) for n in range(rows)]
        updates = [change("U", Letter, start + n, (start + n, "b"), stamp(n + 1)) for n in range(rows)]
        with connections[server].execute_wrapper(counting(counts)):
            counts.append(0)
            commit(server, device, inserts)
            commit(server, device, updates)
    assert counts[0] == counts[1]


def counting(counts):
    def wrapper(execute, sql, params, many, context):
        counts[-1] += 1
        return execute(sql, params, many, context)

    return wrapper


def test_a_correction_of_a_full_row_changes_that_field_only(server):
    device = new_device(server)
    commit(server, device, [visit(server, FULL)])
    how = {"device": device, "key": KEY, "user": "dm", "reason": "checked", "using": server}
    row = correct(Visit, values={"site_id": 7, "answers": {"a": 2}, "dose": "1.500"}, **how)
    read = {name: getattr(row, name) for name in FULL}
    read["raw"] = bytes(read["raw"])
    assert read == {**FULL, "site": 7, "answers": {"a": 2}, "dose": Decimal("1.500")}
    with pytest.raises(InvalidValue, match=r"visit\.site "):
        correct(Visit, values={"site": None}, **how)
    with pytest.raises(NothingToCorrect):
        correct(Visit, values={"answers": {"a": 2}, "site": 7}, **how)
