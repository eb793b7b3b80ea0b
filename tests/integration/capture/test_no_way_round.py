"""Ways round the program: other programs, TRUNCATE, flush, session settings. Refused, or captured all the same."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connections, transaction

from sync_api.exceptions import TruncateRefused
from tests.integration.capture.log import recorded, values_of
from tests.matrix.models import PlainPlace, Word

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg"], transaction=True),
    pytest.mark.usefixtures("quick_flush"),
]
REMEDY = "syncserver__synced_tables_are_written_through_manage_py_only"


@pytest.fixture
def other_program() -> Iterator[sqlite3.Connection]:
    other = sqlite3.connect(connections["default"].settings_dict["NAME"], isolation_level=None)
    yield other
    other.close()


@pytest.fixture
def psql() -> Iterator[psycopg.Connection[Any]]:
    parameters = connections["laptop_pg"].get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    with psycopg.connect(**{name: parameters[name] for name in names if parameters.get(name)}) as connection:
        connection.autocommit = True
        yield connection


@pytest.fixture
def outside_tests() -> Iterator[None]:
    outbox = mail.outbox  # type: ignore[attr-defined]
    del mail.outbox  # type: ignore[attr-defined]
    yield
    mail.outbox = outbox  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO matrix_word (code) VALUES ('b')",
        "INSERT OR IGNORE INTO matrix_word (code) VALUES ('b')",
        "INSERT OR REPLACE INTO matrix_word (code) VALUES ('a')",
        "UPDATE matrix_word SET text = 'x'",
        "UPDATE OR IGNORE matrix_word SET code = 'x'",
        "DELETE FROM matrix_word",
    ],
)
def test_another_programs_write_to_the_sqlite_file_is_refused_naming_the_remedy(
    other_program: sqlite3.Connection, statement: str
) -> None:
    Word.objects.using("default").create(code="a")
    with recorded("default") as log, pytest.raises(sqlite3.OperationalError, match=REMEDY):
        other_program.execute(statement)

    assert log == []
    assert list(other_program.execute("SELECT code, text FROM matrix_word")) == [("a", None)]


def test_another_program_may_write_to_tables_that_are_not_synced(other_program: sqlite3.Connection) -> None:
    other_program.execute("INSERT INTO matrix_plainplace (name) VALUES ('x')")

    assert PlainPlace.objects.using("default").count() == 1


def test_psql_is_captured_with_the_devices_name_and_no_user(psql: psycopg.Connection[Any]) -> None:
    with recorded("laptop_pg") as log:
        psql.execute("INSERT INTO matrix_word (code, text) VALUES ('a', 'x')")

    assert values_of(log[0]) == {"code": "a", "text": "x"}
    assert (log[0].device, log[0].user, log[0].reason) == ("laptop-2", None, None)
    assert log[0].producer.startswith("laptop-2/local/")


def test_replica_role_and_foreign_search_path_do_not_switch_capture_off(psql: psycopg.Connection[Any]) -> None:
    with recorded("laptop_pg") as log:
        psql.execute("SET session_replication_role = replica")
        psql.execute("SET search_path = pg_catalog")
        psql.execute("INSERT INTO public.matrix_word (code) VALUES ('a')")

    assert log.brief() == [("I", "word", "a")]


def test_truncate_is_refused(psql: psycopg.Connection[Any]) -> None:
    Word.objects.using("laptop_pg").create(code="a")
    with pytest.raises(psycopg.DatabaseError, match="unrecorded"):
        psql.execute("TRUNCATE matrix_word")

    assert Word.objects.using("laptop_pg").count() == 1


@pytest.mark.usefixtures("outside_tests")
def test_truncate_through_django_is_refused_outside_tests() -> None:
    Word.objects.using("laptop_pg").create(code="a")
    with pytest.raises(TruncateRefused, match="matrix_word"), connections["laptop_pg"].cursor() as cursor:
        cursor.execute("TRUNCATE matrix_word")

    assert Word.objects.using("laptop_pg").count() == 1


@pytest.mark.usefixtures("outside_tests")
def test_flush_is_refused_outside_tests(laptop: str) -> None:
    Word.objects.using(laptop).create(code="a")
    with pytest.raises(CommandError, match="Nothing was deleted"):
        call_command("flush", database=laptop, interactive=False)

    assert Word.objects.using(laptop).count() == 1


def test_raw_begin_on_postgresql() -> None:
    with recorded("laptop_pg") as log, connections["laptop_pg"].cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO matrix_word (code) VALUES ('a')")
        Word.objects.using("laptop_pg").create(code="b")
        cursor.execute("COMMIT")
        Word.objects.using("laptop_pg").create(code="c")

    assert [tx.unit == log[0].unit for tx in log] == [True, True, False]
    assert {tx.producer.split("/")[2] for tx in log} == {"laptop_pg"}


def test_statement_given_as_an_sql_object_is_captured_with_its_context() -> None:
    statement = psycopg.sql.SQL("INSERT INTO {} (code) VALUES ('a')").format(psycopg.sql.Identifier("matrix_word"))
    with recorded("laptop_pg") as log, connections["laptop_pg"].cursor() as cursor:
        cursor.execute(statement)

    assert log[0].producer.endswith("/laptop_pg")


def test_sqlite_is_in_wal_mode_and_waits_for_the_disk() -> None:
    with connections["default"].cursor() as cursor:
        modes = [
            cursor.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "recursive_triggers")
        ]

    assert modes == ["wal", 2, 1]


def test_process_killed_in_a_transaction_leaves_neither_row_nor_record() -> None:
    pid = os.fork()
    if pid == 0:  # pragma: no cover
        connections["default"].connection = None
        with transaction.atomic(using="default"):
            Word.objects.using("default").create(code="lost")
            os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    with recorded("default") as log:
        Word.objects.using("default").create(code="kept")

    assert log.brief() == [("I", "word", "kept")]
    assert list(Word.objects.using("default").values_list("code", flat=True)) == ["kept"]
