"""Runs code with the seed's settings in a process of its own, whose databases are `client` and `server`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 120

PRELUDE = """
import json, django
django.setup()
from audit.models import Device
from sync_api.exceptions import SyncError
from sync_api.models import IncomingTransaction, OutgoingTransaction
from tests.matrix.models import Consent, Person, Place, Specimen, BloodSpecimen, Symptom

def carry():
    client = OutgoingTransaction.objects.using("client")
    client.filter(is_consumed_server=False).copy_to_incoming_transaction("server")
    return IncomingTransaction.objects.using("server").filter(is_consumed=False).deserialize(check_hostname=False)

def current(model, *names):
    return sorted(model.mirror.using("server").filter(mirror_current=True).values_list(*names))

def answer(**facts):
    print(json.dumps(facts, default=str))
"""


class Study:
    """A folder with the seed's databases, migrated; `like` gives them a copy of another study's instead."""

    def __init__(self, folder: Path, files: int, like: Path | None = None) -> None:
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DJANGO")},
            "DJANGO_SETTINGS_MODULE": "tests.acceptance.seed_settings",
            "SEED_FOLDER": str(folder),
            "SEED_FILES": str(files),
            "SYNC_DEVICE": "study",
        }
        if like is not None:
            shutil.copytree(like, folder, dirs_exist_ok=True)
            return
        for alias in ("client", "server"):
            self.process(str(ROOT / "manage.py"), "migrate", "--database", alias, "--verbosity", "0")

    def run(self, code: str) -> dict[str, Any]:
        """What the code tells by `answer(...)`."""
        told = self.process("-c", PRELUDE + dedent(code)).splitlines()
        answered: dict[str, Any] = json.loads(told[-1])
        return answered

    def process(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
