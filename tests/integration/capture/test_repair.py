"""Triggers that are missing, what they missed, and rows from before capture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connections

from sync_api.capture import baseline as baseline_module
from sync_api.capture import not_captured
from sync_api.capture.install import install
from sync_api.capture.verify import baseline_missing, capture_problems, require_whole_capture
from sync_api.exceptions import BaselineMissing, CaptureBroken
from sync_api.models import CaptureSchema, LocalDevice, OutgoingTransaction
from tests.integration.capture.log import Recorded, recorded, values_of
from tests.matrix.models import Kinds, Place, Word

pytestmark = [
    pytest.mark.django_db(databases=["default", "laptop_pg"], transaction=True),
    pytest.mark.usefixtures("quick_flush"),
]


@pytest.fixture
def broken(laptop: str) -> Iterator[str]:
    """A laptop whose tables have lost their triggers to someone's DDL."""
    install(laptop)
    LocalDevice.objects.using(laptop).update(baselines={"matrix.word": {"done": True, "after": None}})
    words = Word.objects.using(laptop)
    words.bulk_create([Word(code=code, text="seen") for code in ("kept", "changed", "deleted")])
    with connections[laptop].cursor() as cursor:
        if laptop == "default":
            for event in ("insert", "update", "rekey", "delete"):
                cursor.execute(f"DROP TRIGGER syncserver_{event}_matrix_word")
        else:
            for event in ("insert", "update", "delete", "truncate"):
                cursor.execute(f"DROP TRIGGER syncserver_{event} ON matrix_word")
    words.filter(code="changed").update(text="unseen")
    words.filter(code="deleted").delete()
    words.create(code="new", text="unseen")
    yield laptop
    install(laptop)


def reconcile(alias: str, *options: str) -> Any:
    out = StringIO()
    call_command("reconcile_capture", "--database", alias, "--json", *options, stdout=out)
    return json.loads(out.getvalue())


def test_whole_capture_has_no_problems(laptop: str) -> None:
    assert capture_problems(laptop) == []
    require_whole_capture(laptop)


def test_missing_triggers_are_found_by_the_check_and_stop_a_push(broken: str) -> None:
    warnings = [message for message in run_checks(databases=[broken]) if message.id == "sync_api.W004"]

    assert "matrix.word" in warnings[0].msg
    assert f"manage.py migrate --database {broken}" in str(warnings[0].hint)
    with pytest.raises(CaptureBroken, match=r"matrix\.word .*Nothing was sent\. Run `manage.py migrate"):
        require_whole_capture(broken)


def test_stale_trigger_is_found(laptop: str) -> None:
    with connections[laptop].cursor() as cursor:
        if laptop == "default":
            cursor.execute("SELECT sql FROM sqlite_master WHERE name = 'syncserver_insert_matrix_word'")
            sql = cursor.fetchone()[0]
            cursor.execute("DROP TRIGGER syncserver_insert_matrix_word")
            cursor.execute(sql.replace("syncserver_reason()", "'forged'").replace("%", "%%"))
        else:
            cursor.execute("ALTER TABLE matrix_word DISABLE TRIGGER syncserver_insert")
    problems = capture_problems(laptop)
    install(laptop)

    assert len(problems) == 1
    assert "matrix.word has a stale or disabled trigger" in problems[0]
    assert capture_problems(laptop) == []


def test_reconcile_records_what_was_missed_once(broken: str) -> None:
    assert reconcile(broken, "--dry-run")["missed"] == {"matrix.word": {"inserted": 1, "updated": 1, "deleted": 1}}
    with recorded(broken) as log:
        reconcile(broken, "--reason", "triggers were dropped")
        again = reconcile(broken)

    assert sorted(log.brief()) == [("D", "word", "deleted"), ("I", "word", "new"), ("U", "word", "changed")]
    assert {tx.reason for tx in log} == {"triggers were dropped"}
    assert log.units() == 1
    assert {tx.tx_pk: values_of(tx)["text"] for tx in log} == {
        "deleted": "seen",
        "new": "unseen",
        "changed": "unseen",
    }
    assert again["missed"] == {}
    assert capture_problems(broken) == []


def test_reconcile_of_unbroken_capture_finds_nothing(laptop: str) -> None:
    Kinds.objects.using(laptop).create(float=0.1, decimal="1.5", binary=b"\0", json={"a": None}, boolean=True)
    Place.objects.using(laptop).create(name="x")

    assert reconcile(laptop)["missed"] == {}


def test_installing_again_changes_nothing(laptop: str) -> None:
    before = CaptureSchema.objects.using(laptop).count(), LocalDevice.objects.using(laptop).values().get()
    install(laptop)

    assert (CaptureSchema.objects.using(laptop).count(), LocalDevice.objects.using(laptop).values().get()) == before


@pytest.fixture
def adopted(laptop: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A study that ran before it was synced: rows without a record."""
    monkeypatch.setattr(baseline_module, "CHUNK", 3)
    with not_captured("before capture"):
        Word.objects.using(laptop).bulk_create([Word(code=f"w{number}", text=str(number)) for number in range(8)])
    forget_baseline(laptop)
    install(laptop)
    yield laptop
    device = LocalDevice.objects.using(laptop).get()
    device.baselines["matrix.word"] = {"done": True, "after": None}
    device.save(using=laptop)


def forget_baseline(alias: str) -> None:
    device = LocalDevice.objects.using(alias).get()
    del device.baselines["matrix.word"]
    device.save(using=alias)


def run_baseline(alias: str) -> Any:
    out = StringIO()
    call_command("baseline", "--database", alias, "--json", stdout=out)
    return json.loads(out.getvalue())


def baseline_of(alias: str) -> Recorded:
    rows = OutgoingTransaction.objects.using(alias).filter(is_baseline=True).order_by("id")
    return Recorded(rows.select_related("schema"))


def test_push_is_refused_until_the_baseline_is_done(adopted: str) -> None:
    assert baseline_missing(adopted) == ["matrix.word"]
    with pytest.raises(BaselineMissing, match=r"Run `manage.py baseline"):
        require_whole_capture(adopted)
    assert run_baseline(adopted)["rows"] == {"matrix.word": 8}
    require_whole_capture(adopted)
    assert run_baseline(adopted)["rows"] == {}


def test_baseline_writes_each_row_as_a_marked_insert(adopted: str) -> None:
    run_baseline(adopted)

    log = baseline_of(adopted)
    assert log.brief() == [("I", "word", f"w{number}") for number in range(8)]
    assert [values_of(tx)["text"] for tx in log] == [str(number) for number in range(8)]
    assert {tx.reason for tx in log} == {"baseline"}


def test_interrupted_baseline_goes_on_where_it_stopped(adopted: str) -> None:
    def interrupt(label: str, rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        baseline_module.baseline(adopted, progress=interrupt)
    assert len(baseline_of(adopted)) == 3
    run_baseline(adopted)

    assert [tx.tx_pk for tx in baseline_of(adopted)] == [f"w{number}" for number in range(8)]


def test_rows_changed_before_their_baseline_are_recorded_once(adopted: str) -> None:
    """New, changed and deleted rows of a table whose baseline is not done: the log folds to the table."""
    words = Word.objects.using(adopted)
    words.create(code="w1b", text="new")
    words.filter(code="w7").update(text="changed")
    words.filter(code="w3").delete()
    run_baseline(adopted)

    state: dict[str, Any] = {}
    for tx in OutgoingTransaction.objects.using(adopted).filter(tx_name="matrix.word").order_by("id"):
        known = tx.tx_pk in state
        assert (tx.action == "I") is not known, (tx.action, tx.tx_pk)
        if tx.action == "D":
            del state[tx.tx_pk]
        else:
            state[tx.tx_pk] = values_of(tx)["text"]
    assert state == dict(words.values_list("code", "text"))
