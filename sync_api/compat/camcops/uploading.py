"""Operations that upload. The wire names no upload: the device's open one is meant."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from sync_api.compat.camcops.asked import Asked
from sync_api.compat.camcops.columns import check_key_name, rows_of
from sync_api.compat.camcops.literals import Value
from sync_api.compat.camcops.quirks import KeyPart, TablePart, upgraded_keys, upgraded_rows
from sync_api.compat.camcops.replies import Reply
from sync_api.compat.camcops.request import literal
from sync_api.exceptions import UploadNotOpen, WireMalformed
from sync_api.models import Upload
from sync_api.uploads import operations
from sync_api.uploads.tables import find_forms


def start_upload(asked: Asked) -> Reply:
    operations.start_upload(asked.alias, user=asked.user, device=asked.device, app_version=asked.version)
    return {}


def start_preservation(asked: Asked) -> Reply:
    operations.start_preservation(asked.alias, user=asked.user, upload=asked.upload())
    return {"result": "STARTPRESERVATION"}


def upload_empty_tables(asked: Asked) -> Reply:
    tables = [
        part.table for name in asked.fields.names("tables") for part in upgraded_keys(asked.version, KeyPart(name, []))
    ]
    operations.upload_empty_tables(
        asked.alias, user=asked.user, upload=asked.upload(), tables=list(dict.fromkeys(tables))
    )
    return {"result": "UPLOAD-EMPTY-TABLES"}


def upload_table(asked: Asked) -> Reply:
    names = asked.fields.names("fields")
    part = TablePart(asked.fields.text("table"), key_name_of(asked), names, asked.fields.records(names))
    told = [rows_of(asked.alias, one, app_version=asked.version) for one in upgraded_rows(asked.version, part)]
    upload = asked.upload()
    for form, rows in told:
        operations.upload_table(asked.alias, user=asked.user, upload=upload, table=form.name, rows=rows)
    return {"result": f"Table {part.table} upload successful"}


def upload_record(asked: Asked) -> Reply:
    names = asked.fields.names("fields")
    values = asked.fields.literals("values")
    if len(values) != len(names):
        raise WireMalformed(what=f"'values' has {len(values)} values, and 'fields' names {len(names)} columns")
    part = TablePart(asked.fields.text("table"), key_name_of(asked), names, [values])
    told = [rows_of(asked.alias, one, app_version=asked.version) for one in upgraded_rows(asked.version, part)]
    upload = asked.upload()
    for form, rows in told:
        for row in rows["rows"]:
            named = dict(zip(rows["fields"], row, strict=True))
            operations.upload_record(asked.alias, user=asked.user, upload=upload, table=form.name, row=named)
    return {"result": "UPLOAD-RECORD"}


def key_name_of(asked: Asked) -> str | None:
    return asked.fields.text("pkname").strip() if asked.fields.has("pkname") else None


def which_keys_to_send(asked: Asked) -> Reply:
    """Clients before 2.3.0 send no `move_off_tablet_values`, which means that nothing moves off."""
    (form,) = find_forms(asked.alias, [asked.fields.text("table")], app_version=asked.version)
    check_key_name(form, key_name_of(asked))
    moved = asked.fields.literals("move_off_tablet_values") if asked.fields.has("move_off_tablet_values") else None
    reply = operations.which_keys_to_send(
        asked.alias,
        user=asked.user,
        upload=asked.upload(),
        table=form.name,
        keys=asked.fields.literals("pkvalues"),
        modified=asked.fields.literals("datevalues"),
        moved=moved or None,
    )
    return {"result": ",".join(map(str, reply.body["keys"]))}


def delete_where_key_not(asked: Asked) -> Reply:
    (form,) = find_forms(asked.alias, [asked.fields.text("table")], app_version=asked.version)
    check_key_name(form, key_name_of(asked))
    keys: list[Any] = asked.fields.literals("pkvalues")
    upload = asked.upload()
    for part in upgraded_keys(asked.version, KeyPart(form.name, keys)):
        operations.delete_where_key_not(asked.alias, user=asked.user, upload=upload, table=part.table, keys=part.keys)
    return {"result": "Trimmed"}


def end_upload(asked: Asked) -> Reply:
    """Asked again after a lost answer, when nothing is open: what was committed last is what was meant."""
    name = asked.user.get_username()
    upload = operations.open_upload_of(asked.alias, asked.device) or operations.last_upload_of(
        asked.alias, asked.device
    )
    if upload is None or upload.user != name or upload.state not in (Upload.State.OPEN, Upload.State.COMMITTED):
        told = "not open" if upload is None else upload.get_state_display()
        raise UploadNotOpen(upload="" if upload is None else str(upload.pk), state=told, why="")
    operations.end_upload(asked.alias, user=asked.user, upload=upload)
    return {}


def upload_entire_database(asked: Asked) -> Reply:
    """All tables at once, as JSON: `dbdata` by table a list of rows, each value a text with an SQL literal."""
    keys: dict[str, Any] = asked.fields.json("pknameinfo", dict)
    data: dict[str, Any] = asked.fields.json("dbdata", dict)
    if set(keys) != set(data):
        raise WireMalformed(what="'pknameinfo' and 'dbdata' name different tables")
    preserving = asked.fields.flag("finalizing")
    tables: dict[str, Any] = {}
    for name in data:
        part = table_of(name, keys[name], data[name])
        form, rows = rows_of(asked.alias, part, app_version=asked.version) if part.rows else empty(asked, part)
        tables[form.name] = rows
    said = "\n".join(asked.fields.text(one) for one in ("finalizing", "pknameinfo", "dbdata"))
    operations.upload_entire_database(
        asked.alias,
        user=asked.user,
        device=asked.device,
        tables=tables,
        preserving=preserving,
        app_version=asked.version,
        request_hash=hashlib.sha256(said.encode()).hexdigest(),
    )
    return {"result": "UPLOAD-ENTIRE-DATABASE"}


def empty(asked: Asked, part: TablePart) -> tuple[Any, list[Any]]:
    (form,) = find_forms(asked.alias, [part.table], app_version=asked.version)
    check_key_name(form, part.key_name)
    return form, []


def table_of(name: str, key_name: Any, rows: Any) -> TablePart:
    """One table of the JSON. A column that a row does not name is null."""
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise WireMalformed(what=f"in 'dbdata', the table {name[:60]} is no list of objects")
    if not isinstance(key_name, str):
        raise WireMalformed(what="a value of 'pknameinfo' is no text")
    fields = list(dict.fromkeys(field for row in rows for field in row))
    values: list[list[Value]] = [
        [literal(row.get(field, "NULL"), table=name, field=field) for field in fields] for row in rows
    ]
    return TablePart(name, key_name, fields, values)
