"""What the commands of this package share."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
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


def whole_bytes(text: str) -> int:
    """A number of bytes, as people write it: 500000, 20M, 1.5G (powers of 1,024)."""
    factors = {"K": 1024, "M": 1024**2, "G": 1024**3}
    number, factor = (text[:-1], factors[text[-1].upper()]) if text[-1:].upper() in factors else (text, 1)
    try:
        size = int(float(number) * factor)
    except (ValueError, OverflowError) as error:
        raise ArgumentTypeError("write a number of bytes, such as 500000, 20M or 1.5G") from error
    if size < 0:
        raise ArgumentTypeError("it cannot be less than 0")
    return size


def files_words(files: Any) -> str:
    """What was done with files, in words; empty where there was nothing to do. Takes a FilesReport."""
    told = []
    if files.files:
        told.append(f"Sent {files.files} files ({files.bytes} bytes).")
    elif files.bytes:
        told.append(f"Sent {files.bytes} bytes of files.")
    if files.waiting:
        told.append(f"{files.waiting} files ({files.waiting_bytes} bytes) wait for the next push.")
    return " ".join(told)
