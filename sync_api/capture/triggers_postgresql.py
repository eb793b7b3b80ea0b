"""Trigger SQL for PostgreSQL: one function per table, with the session formats that matter pinned.

Gotchas, each with a test:
1. Comparing rows with IS DISTINCT FROM would use the columns' collations; `*<>` compares their stored images.
2. A custom setting that was local to an earlier transaction reads as '' and not as NULL afterwards.
3. json turns a float into a number and loses what numbers cannot say (-0, NaN), so floats travel as text.
4. The triggers are ENABLE ALWAYS: session_replication_role does not switch them off.
"""

from __future__ import annotations

import hashlib
from typing import Any

from sync_api.capture.connection import REASON_STATE, TRUNCATE_STATE
from sync_api.capture.definitions import PREFIX, Captured, Trigger, literal

CHUNK = 90
NAME_LENGTH_MAX = 63
OUTGOING = "sync_api_outgoingtransaction"
DURATION = (
    "((extract(year FROM {x}) * 365 + extract(month FROM {x}) * 30 + extract(day FROM {x})) * 86400000000"
    " + extract(hour FROM {x}) * 3600000000 + extract(minute FROM {x}) * 60000000"
    " + extract(microseconds FROM {x}))"
)
FORMS = {
    "integer": "{x}",
    "boolean": "{x}",
    "text": "{x}",
    "ip": "{x}",
    "float": "{x}::text",
    "decimal": "{x}::text",
    "date": "{x}::text",
    "time": "{x}::text",
    "datetime": "({x} AT TIME ZONE 'UTC')::text",
    "duration": DURATION,
    "binary": "encode({x}, 'hex')",
    "json": "{x}::text",
    "uuid": "replace({x}::text, '-', '')",
}


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def pin_formats(cursor: Any) -> None:
    """For this transaction, the formats that the functions pin for themselves."""
    cursor.execute("SET LOCAL timezone = 'UTC'")
    cursor.execute("SET LOCAL datestyle = 'ISO'")
    cursor.execute("SET LOCAL extra_float_digits = 1")


def value(captured: Captured, name: str, kind: str, row: str) -> str:
    x = f"{row}.{quote(captured.column(name))}"
    if kind == "contenttype":
        return f"(SELECT c.app_label || '.' || c.model FROM django_content_type AS c WHERE c.id = {x})"
    if kind == "reference":
        table, column, parts = captured.natural_key_columns(name)
        key = ", ".join(f"t.{quote(part)}" for part in parts)
        return f"(SELECT json_build_array({key})::text FROM {quote(table)} AS t WHERE t.{quote(column)} = {x})"
    return FORMS[kind].format(x=x)


def payload(captured: Captured, row: str) -> str:
    """The expression for the row as the text of a JSON array."""
    values = [value(captured, name, kind, row) for name, kind, _ in captured.schema.fields]
    chunks = [f"json_build_array({', '.join(values[i : i + CHUNK])})::text" for i in range(0, len(values), CHUNK)]
    if len(chunks) == 1:
        return chunks[0]
    inner = " || ',' || ".join(f"substr({chunk}, 2, length({chunk}) - 2)" for chunk in chunks)
    return f"'[' || {inner} || ']'"


def key_text(captured: Captured, row: str) -> str:
    name, kind, _ = next(field for field in captured.schema.fields if field[0] == captured.schema.pk)
    return f"({value(captured, name, kind, row)})::text"


def record(captured: Captured, action: str, row: str, previous: str = "NULL") -> str:
    reason = "NULL" if captured.policy == "none" else "said_reason"
    return (
        f"INSERT INTO {OUTGOING} (unit, tx_name, action, tx_pk, previous_pk, payload, schema_id, is_baseline,"
        ' "user", reason, producer, device, captured_at, utc_offset, is_consumed_middleman, is_consumed_server)'
        f" VALUES (this_unit, {literal(captured.schema.label)}, '{action}', {key_text(captured, row)},"
        f" {previous}, {payload(captured, row)}, {captured.schema_id}, false, said_user, {reason},"
        " said_producer, said_device, this_moment, said_offset, false, false);"
    )


OWN_DEVICE = "(SELECT d.name FROM sync_api_localdevice AS d ORDER BY d.id LIMIT 1)"
"""The device on whose behalf another program (psql, say) writes."""


def function_body(captured: Captured) -> str:
    pk = captured.model._meta.pk
    assert pk is not None
    key = quote(str(pk.column))
    required = ""
    if captured.policy == "required":
        required = (
            "  IF said_reason IS NULL THEN RAISE EXCEPTION 'A change of this record needs a reason.'"
            f" USING ERRCODE = '{REASON_STATE}', DETAIL = {literal(captured.schema.label)}; END IF;\n"
        )
    return f"""
DECLARE
  this_unit bigint := pg_current_xact_id()::text::bigint;
  this_moment bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
  said_user text := NULLIF(current_setting('syncserver.user', true), '');
  said_reason text := NULLIF(current_setting('syncserver.reason', true), '');
  said_device text := COALESCE(NULLIF(current_setting('syncserver.device', true), ''), {OWN_DEVICE});
  said_producer text := COALESCE(NULLIF(current_setting('syncserver.producer', true), ''),
    said_device || '/' || COALESCE(host(inet_client_addr()), 'local') || '/' || session_user);
  said_offset smallint := NULLIF(current_setting('syncserver.utc_offset', true), '')::smallint;
BEGIN
  IF current_setting('syncserver.capture', true) = 'off' THEN RETURN NULL; END IF;
{required}  IF TG_OP = 'INSERT' THEN
    {record(captured, "I", "NEW")}
  ELSIF TG_OP = 'DELETE' THEN
    {record(captured, "D", "OLD")}
  ELSIF OLD.{key} IS DISTINCT FROM NEW.{key} THEN
    {record(captured, "D", "OLD")}
    {record(captured, "I", "NEW", key_text(captured, "OLD"))}
  ELSE
    {record(captured, "U", "NEW")}
  END IF;
  RETURN NULL;
END
"""


def short(name: str) -> str:
    if len(name) <= NAME_LENGTH_MAX:
        return name
    return f"{name[:50]}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def triggers(captured: Captured, schema: str) -> list[Trigger]:
    """The row triggers with their function, and the one that refuses TRUNCATE."""
    table = f"{quote(schema)}.{quote(captured.table)}"
    name = short(f"{PREFIX}_capture_{captured.table}")
    function = f"{quote(schema)}.{quote(name)}"
    body = function_body(captured)
    create = [
        f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql"
        f" SET search_path = {quote(schema)}, pg_catalog SET timezone = 'UTC' SET datestyle = 'ISO'"
        f" SET intervalstyle = 'iso_8601' SET bytea_output = 'hex' SET extra_float_digits = 1"
        f" AS $syncserver${body}$syncserver$",
    ]
    rows = {
        "insert": "AFTER INSERT ON {t} FOR EACH ROW",
        "update": "AFTER UPDATE ON {t} FOR EACH ROW WHEN (OLD.* *<> NEW.*)",
        "delete": "AFTER DELETE ON {t} FOR EACH ROW",
    }
    for event, clause in rows.items():
        trigger_name = quote(f"{PREFIX}_{event}")
        create.append(f"CREATE TRIGGER {trigger_name} {clause.format(t=table)} EXECUTE FUNCTION {function}()")
        create.append(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger_name}")
    return [
        Trigger(table=captured.table, name=name, create=tuple(create), body=body),
        truncate_trigger(captured, schema),
    ]


def truncate_trigger(captured: Captured, schema: str) -> Trigger:
    name = short(f"{PREFIX}_truncate_{captured.table}")
    function = f"{quote(schema)}.{quote(name)}"
    table = f"{quote(schema)}.{quote(captured.table)}"
    body = f"""
BEGIN
  IF current_setting('syncserver.truncate', true) = 'tests'
    OR current_setting('syncserver.capture', true) = 'off' THEN RETURN NULL; END IF;
  RAISE EXCEPTION 'TRUNCATE of a synced table would delete rows unrecorded.'
    USING ERRCODE = '{TRUNCATE_STATE}', DETAIL = {literal(captured.table)};
END
"""
    create = (
        f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $syncserver${body}$syncserver$",
        f"CREATE TRIGGER {PREFIX}_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION {function}()",
        f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {PREFIX}_truncate",
    )
    return Trigger(table=captured.table, name=name, create=create, body=body)
