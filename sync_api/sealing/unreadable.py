"""Texts that are no UTF-8. Raw SQL can put them into a SQLite text column; nothing reads them back, the device neither.

They would stop sealing for good. So the log's rows are written as the triggers write what is no text: the value in hex,
as {"blob": "FF41"}. The server sets such a unit aside with its reason, and everything else goes on.
"""

from __future__ import annotations

import json
from typing import Any

from django.db import OperationalError, connections

from sync_api.models import LocalDevice

COLUMNS = ("payload", "tx_pk", "previous_pk")
READ_ROWS = 500


def is_unreadable(error: OperationalError) -> bool:
    """Whether SQLite's driver could not decode a text."""
    return "decode to UTF-8" in str(error)


def mend_unreadable(alias: str, device: LocalDevice) -> int:
    """Rewrite the unsealed rows of SQLite's log that hold such texts; how many. Call inside a transaction."""
    as_bytes = ", ".join(f"CAST({column} AS BLOB)" for column in COLUMNS)
    mended: list[tuple[Any, ...]] = []
    with connections[alias].cursor() as cursor:
        cursor.execute(
            f"SELECT id, {as_bytes} FROM sync_api_outgoingtransaction WHERE id > %s AND device = %s",
            [device.sealed_until, device.name],
        )
        while rows := cursor.fetchmany(READ_ROWS):
            for row_id, payload, key, previous in rows:
                if not all(map(is_text, (payload, key, previous))):
                    mended.append((readable(payload), key_text(key), key_text(previous), row_id))
        cursor.executemany(
            "UPDATE sync_api_outgoingtransaction SET payload = %s, tx_pk = %s, previous_pk = %s WHERE id = %s", mended
        )
    return len(mended)


def is_text(raw: bytes | None) -> bool:
    if raw is None:
        return True
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def readable(payload: bytes) -> str:
    """The payload with each text that is none in hex. Read byte by byte: SQLite escapes only what is below 128."""
    values = json.loads(payload.decode("latin-1"))
    told = [text_or_hex(value) if isinstance(value, str) else value for value in values]
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def text_or_hex(value: str) -> Any:
    raw = value.encode("latin-1")
    return raw.decode() if is_text(raw) else {"blob": raw.hex().upper()}


def key_text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode(errors="backslashreplace")
