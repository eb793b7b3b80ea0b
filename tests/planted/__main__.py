"""Hunts planted bugs: `python -m tests.planted [NAME ...] [--write]`; the latter makes their page in the docs."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syncserver.settings")
os.environ.setdefault("SECRET_KEY", "planted")
os.environ.setdefault("LOG_LEVEL", "CRITICAL")
os.environ["DATABASE_URL"] = f"sqlite:///{tempfile.gettempdir()}/never-touched.sqlite3"

import django

django.setup()

from tests.planted.bugs import BUGS  # noqa: E402 - after setup
from tests.planted.hunt import PAGE, hunt, page  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("names", nargs="*", default=[], metavar="NAME")
parser.add_argument("--seed", type=int, help="Only this seed.")
parser.add_argument("--write", action="store_true", help=f"Write {PAGE}.")
options = parser.parse_args()
caught = []
for name in options.names or BUGS:
    begun = time.monotonic()
    found = hunt(name, seed=options.seed, shrink=options.write)
    told = f"seed {found.seed}: {found.problems[0][:160]}" if found.problems else "NOT CAUGHT"
    print(f"{name:36} {time.monotonic() - begun:6.1f} s  {told}", flush=True)
    caught.append((name, found))
if options.write:
    Path(PAGE).write_text(page(caught))
sys.exit(any(not found.problems for _, found in caught))
