"""Which changes belong together: a unit is one database transaction, however it was begun and ended."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction

from sync_api.exceptions import UnitTooLarge
from tests.integration.capture.log import recorded
from tests.matrix.models import Place, Word

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg"], transaction=True),
    pytest.mark.usefixtures("quick_flush"),
]


def word(alias: str, code: str) -> Word:
    return Word.objects.using(alias).create(code=code)


def units_of(log: list[Any]) -> list[int]:
    """Units numbered in order of appearance."""
    seen: dict[int, int] = {}
    return [seen.setdefault(tx.unit, len(seen)) for tx in log]


@pytest.fixture
def manual(laptop: str) -> Iterator[str]:
    """A connection whose transactions the program ends itself."""
    transaction.set_autocommit(False, using=laptop)
    yield laptop
    transaction.rollback(using=laptop)
    transaction.set_autocommit(True, using=laptop)


def test_outermost_atomic_is_one_unit(laptop: str) -> None:
    with recorded(laptop) as log:
        for codes in ("ab", "cd"):
            with transaction.atomic(using=laptop):
                word(laptop, codes[0])
                with transaction.atomic(using=laptop):
                    word(laptop, codes[1])

    assert units_of(log) == [0, 0, 1, 1]


def test_each_autocommit_save_is_a_unit(laptop: str) -> None:
    with recorded(laptop) as log:
        word(laptop, "a")
        word(laptop, "b")

    assert units_of(log) == [0, 1]


def test_executemany_in_autocommit_is_one_unit(laptop: str) -> None:
    with recorded(laptop) as log, connections[laptop].cursor() as cursor:
        cursor.executemany("INSERT INTO matrix_word (code) VALUES (%s)", [("a",), ("b",)])
        cursor.execute("INSERT INTO matrix_word (code) VALUES ('c')")

    assert units_of(log) == [0, 0, 1]


def test_failing_executemany_in_autocommit_leaves_nothing(laptop: str) -> None:
    word(laptop, "b")
    many = [("a",), ("b",)]
    with recorded(laptop) as log, connections[laptop].cursor() as cursor, pytest.raises(IntegrityError):
        cursor.executemany("INSERT INTO matrix_word (code) VALUES (%s)", many)

    assert log == []
    assert Word.objects.using(laptop).count() == 1


def test_autocommit_insert_with_returning(laptop: str) -> None:
    with recorded(laptop) as log:
        row = Place.objects.using(laptop).create(name="north")

    assert log.brief() == [("I", "place", str(row.pk))]


def test_statement_that_begins_with_a_comment_or_with(laptop: str) -> None:
    with recorded(laptop) as log, connections[laptop].cursor() as cursor:
        cursor.execute("/* a */ -- b\n INSERT INTO matrix_word (code) VALUES ('a')")
        cursor.execute("WITH x AS (SELECT 'b' AS code) INSERT INTO matrix_word (code) SELECT code FROM x")

    assert units_of(log) == [0, 1]


def test_rolled_back_transaction_leaves_nothing(laptop: str) -> None:
    with recorded(laptop) as log:
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=laptop):
            word(laptop, "a")
            raise ZeroDivisionError
        word(laptop, "b")

    assert log.brief() == [("I", "word", "b")]


def test_rolled_back_savepoint_leaves_nothing_and_keeps_the_unit(laptop: str) -> None:
    with recorded(laptop) as log, transaction.atomic(using=laptop):
        word(laptop, "a")
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=laptop):
            word(laptop, "b")
            raise ZeroDivisionError
        word(laptop, "c")

    assert [tx.tx_pk for tx in log] == ["a", "c"]
    assert units_of(log) == [0, 0]


def test_manual_commit_begins_a_new_unit(manual: str) -> None:
    with recorded(manual) as log:
        word(manual, "a")
        word(manual, "b")
        transaction.commit(using=manual)
        word(manual, "c")
        transaction.commit(using=manual)

    assert units_of(log) == [0, 0, 1]


def test_manual_rollback_begins_a_new_unit(manual: str) -> None:
    with recorded(manual) as log:
        word(manual, "a")
        transaction.commit(using=manual)
        word(manual, "lost")
        transaction.rollback(using=manual)
        word(manual, "b")
        transaction.commit(using=manual)

    assert [tx.tx_pk for tx in log] == ["a", "b"]
    assert units_of(log) == [0, 1]


def test_raw_begin_and_commit_begin_new_units() -> None:
    with recorded("default") as log, connections["default"].cursor() as cursor:
        for codes in ("ab", "cd"):
            cursor.execute("BEGIN")
            word("default", codes[0])
            word("default", codes[1])
            cursor.execute("COMMIT")
        word("default", "e")

    assert units_of(log) == [0, 0, 1, 1, 2]


def test_write_past_djangos_cursor_outside_a_transaction_is_refused() -> None:
    connections["default"].ensure_connection()
    with recorded("default") as log:
        with pytest.raises(sqlite3.OperationalError, match="user-defined function raised"):
            connections["default"].connection.execute("INSERT INTO matrix_word (code) VALUES ('a')")
        word("default", "b")
        with pytest.raises(IntegrityError):
            word("default", "b")

    assert log.brief() == [("I", "word", "b")]


def test_unit_over_the_limit_is_refused_whole(settings: Any) -> None:
    settings.SYNC_UNIT_LINES_MAX = 3
    connections["default"].close()
    with recorded("default") as log:
        with pytest.raises(UnitTooLarge, match="at most 3"):
            Word.objects.using("default").bulk_create([Word(code=str(n)) for n in range(4)])
        Word.objects.using("default").bulk_create([Word(code=str(n)) for n in range(3)])
    connections["default"].close()

    assert units_of(log) == [0, 0, 0]


def test_new_connection_begins_a_new_unit(laptop: str) -> None:
    with recorded(laptop) as log:
        word(laptop, "a")
        connections[laptop].close()
        word(laptop, "b")

    assert units_of(log) == [0, 1]


def test_script_past_djangos_cursor_inside_atomic_is_refused() -> None:
    """executescript() commits behind Django's back, so its writes have no known unit."""
    with connections["default"].cursor() as cursor, recorded("default") as log:
        connection = connections["default"]
        connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
        connection.in_atomic_block = True
        with pytest.raises(sqlite3.OperationalError, match="user-defined function raised"):
            cursor.cursor.executescript("INSERT INTO matrix_word (code) VALUES ('a')")
        connection.in_atomic_block = False
        connection.set_autocommit(True)

    assert log == []


def test_capture_can_be_switched_off_as_a_whole(laptop: str, settings: Any) -> None:
    settings.ALLOW_MODEL_SERIALIZATION = False
    connections[laptop].close()
    with recorded(laptop) as log:
        word(laptop, "a")
    settings.ALLOW_MODEL_SERIALIZATION = True
    connections[laptop].close()

    assert log == []
