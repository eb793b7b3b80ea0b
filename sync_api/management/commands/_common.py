"""What the commands of this package share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS

from sync_api.exceptions import SyncError


def add_database(parser: CommandParser, default: str = DEFAULT_DB_ALIAS) -> None:
    parser.add_argument("--database", default=default, help="Database alias (default: %(default)s).")


def add_json(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", help="Print one JSON object for programs.")


@contextmanager
def plain_errors() -> Iterator[None]:
    """A SyncError becomes the command's error: one sentence, no traceback, exit status 1."""
    try:
        yield
    except SyncError as error:
        raise CommandError(str(error)) from error


def to_json(facts: dict[str, Any]) -> str:
    return json.dumps(facts, default=str)
