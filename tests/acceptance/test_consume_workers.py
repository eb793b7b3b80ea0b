"""Several consumer processes on one server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.seed_study import ROOT, Study

pytestmark = pytest.mark.long


def test_two_worker_processes_apply_everything_once(tmp_path: Path) -> None:
    study = Study(tmp_path, files=2)
    study.run("""
        for number in range(20):
            Place.objects.using("client").create(name=f"place {number}")
        waiting = OutgoingTransaction.objects.using("client").filter(is_consumed_server=False)
        answer(copied=waiting.copy_to_incoming_transaction("server").transactions)
        """)
    command = (str(ROOT / "manage.py"), "consume_transactions", "--database", "server", "--workers", "2", "--json")
    report = json.loads(study.process(*command))
    assert (report["transactions"], report["inserted"], report["errors"]) == (20, 20, [])
    assert study.run("answer(rows=len(current(Place, 'name')))") == {"rows": 20}
