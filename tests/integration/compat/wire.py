"""A client of the seed's wire, written from the seed alone: it shares no code with the server's side of it."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any
from urllib.parse import quote_plus

from django.apps import apps
from django.test import Client

from audit.models import TableChanges
from tests.integration.uploads.driving import Uploads
from tests.integration.uploads.scripts import BY_RECORD, KINDS, Counts

ADDRESS = "/compat/camcops/"
VERSION = "2.4.0"
PASSWORD = "a-long-secret"


def literal(value: Any, *, in_hex: bool = False) -> str:
    """An SQL literal, as a client would write it."""
    if value is None:
        return "NULL"
    if isinstance(value, dict):  # the scripts' pictures
        raw = bytes.fromhex(value["hex"])
        return f"X'{raw.hex()}'" if in_hex else f"64'{b64encode(raw).decode()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value)


def read_reply(text: str) -> dict[str, str]:
    reply = {}
    for line in text.removesuffix("\n").split("\n"):
        key, colon, value = line.partition(":")
        assert colon, line
        reply[key] = value
    return reply


class Wire:
    """Asks with name and password once, then with the session it was given."""

    def __init__(self, user: str, device: str, *, password: str = PASSWORD, version: str = VERSION) -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.standing_fields = {"user": user, "device": device, "camcops_version": version}
        self.password = password
        self.session: dict[str, str] = {}

    def ask(self, operation: str, **fields: str) -> dict[str, str]:
        """The reply, whatever it says."""
        credentials = self.session or {"password": self.password}
        told = {"operation": operation, **self.standing_fields, **credentials, **fields}
        body = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in told.items())
        response = self.client.generic("POST", ADDRESS, body, content_type="application/x-www-form-urlencoded")
        assert response.headers["Content-Type"].startswith("text/plain")
        reply = read_reply(response.content.decode())
        assert (reply["success"] == "1") == ("error" not in reply)
        if "session_token" in reply:
            self.session = {name: reply[name] for name in ("session_id", "session_token")}
        return reply

    def must(self, operation: str, **fields: str) -> dict[str, str]:
        reply = self.ask(operation, **fields)
        assert reply["success"] == "1", reply
        return reply

    def table(self, table: str, rows: list[dict[str, Any]], *, key: str | None = "id") -> dict[str, str]:
        names = list(dict.fromkeys(name for row in rows for name in row))
        records = {
            f"record{number}": ",".join(literal(row.get(name)) for name in names) for number, row in enumerate(rows)
        }
        named = {} if key is None else {"pkname": key}
        return self.ask(
            "upload_table", table=table, fields=",".join(names), nrecords=str(len(rows)), **named, **records
        )

    def record(self, table: str, row: dict[str, Any], *, key: str = "id") -> dict[str, str]:
        values = ",".join(literal(value, in_hex=True) for value in row.values())
        return self.ask("upload_record", table=table, pkname=key, fields=",".join(row), values=values)

    def whole(self, tables: dict[str, list[dict[str, Any]]], *, preserving: bool = False) -> dict[str, str]:
        data = {table: [{name: literal(row[name]) for name in row} for row in rows] for table, rows in tables.items()}
        return self.ask(
            "upload_entire_database",
            finalizing=str(int(preserving)),
            pknameinfo=json.dumps(dict.fromkeys(tables, "id")),
            dbdata=json.dumps(data),
        )


class WireUploads(Uploads):
    """Plays the scripts over the wire. The wire tells no counts, so they are read from the audit."""

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self.wire = Wire(self.user.get_username(), self.device.name)

    def counted(self, before: int) -> Counts:
        rows = TableChanges.objects.using(self.alias).filter(device=self.device, pk__gt=before)
        found: Counts = {}
        for row in rows:
            counts = {kind: len(row.keys.get(kind, [])) for kind in KINDS}
            held = found.setdefault(str(apps.get_model(row.model)._meta.db_table), {})
            for kind, count in counts.items():
                if count:
                    held[kind] = held.get(kind, 0) + count
        return {table: counts for table, counts in found.items() if counts}

    def last(self) -> int:
        rows = TableChanges.objects.using(self.alias).order_by("-pk").values_list("pk", flat=True)
        return rows.first() or 0


class OneStepOverTheWire(WireUploads):
    def upload(self, tables: dict[str, list[dict[str, Any]]], *, preserving: bool) -> Counts:
        before = self.last()
        assert self.wire.whole(tables, preserving=preserving)["success"] == "1"
        return self.counted(before)


class StepwiseOverTheWire(WireUploads):
    def upload(self, tables: dict[str, list[dict[str, Any]]], *, preserving: bool) -> Counts:
        before = self.last()
        self.wire.must("check_upload_user_and_device")
        self.wire.must("start_upload")
        if preserving:
            self.wire.must("start_preservation")
        self.wire.must("upload_empty_tables", tables=",".join(table for table, rows in tables.items() if not rows))
        for table, rows in tables.items():
            if rows and table in BY_RECORD:
                self.by_record(table, rows)
            elif rows:
                assert self.wire.table(table, rows)["success"] == "1"
        self.wire.must("end_upload")
        return self.counted(before)

    def by_record(self, table: str, rows: list[dict[str, Any]]) -> None:
        keys = ",".join(str(row["id"]) for row in rows)
        self.wire.must("delete_where_key_not", table=table, pkname="id", pkvalues=keys)
        wanted = self.wire.must(
            "which_keys_to_send",
            table=table,
            pkname="id",
            pkvalues=keys,
            datevalues=",".join(literal(row["when_last_modified"]) for row in rows),
            move_off_tablet_values=",".join(str(row.get("_move_off_tablet", 0)) for row in rows),
        )["result"]
        for row in rows:
            if str(row["id"]) in wanted.split(","):
                assert self.wire.record(table, row)["success"] == "1"
