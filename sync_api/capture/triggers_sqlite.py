"""Trigger SQL for SQLite.

Gotchas, each with a test:
1. A BLOB in a JSON function makes the user's insert fail, so every column says what to do with one.
2. json_array takes at most 127 arguments in common builds: columns go in chunks that are joined.
3. SQLite's JSON keeps 15 digits of a float; printf('%!.17g') keeps all, but for 1 in 100 of those
   above 1e120, which need more digits than SQLite's own arithmetic gets right with 17.
4. Column collations would hide a change of case from `IS NOT`, so all columns are compared as BINARY.
5. The conflict clause of the outer statement (INSERT OR IGNORE) rules inside triggers too, so nothing in here relies
   on a constraint to refuse; functions raise.
"""

from __future__ import annotations

from typing import Any

from sync_api.capture.connection import REMEDY
from sync_api.capture.definitions import PREFIX, Captured, Trigger, literal

CHUNK = 40
OUTGOING = "sync_api_outgoingtransaction"
NUMBER_AS_TEXT = "printf(CASE WHEN abs({x}) < 1e100 THEN '%!.17g' ELSE '%!.20g' END, {x})"


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def pin_formats(cursor: Any) -> None:
    """Nothing to do: SQLite's texts depend on no session setting."""


def value(captured: Captured, name: str, kind: str, row: str) -> str:
    """The expression for one column's raw value."""
    x = f"{row}.{quote(captured.column(name))}"
    if kind == "binary":
        return f"CASE WHEN {x} IS NULL THEN NULL ELSE hex({x}) END"
    if kind == "contenttype":
        return f"(SELECT app_label || '.' || model FROM django_content_type WHERE id = {x})"
    if kind == "reference":
        table, column, parts = captured.natural_key_columns(name)
        key = ", ".join(f"t.{quote(part)}" for part in parts)
        return f"(SELECT json_array({key}) || '' FROM {quote(table)} AS t WHERE t.{quote(column)} = {x})"
    blob = f"WHEN 'blob' THEN json_object('blob', hex({x}))"
    return f"CASE typeof({x}) WHEN 'real' THEN {NUMBER_AS_TEXT.format(x=x)} {blob} ELSE {x} END"


def payload(captured: Captured, row: str) -> str:
    """The expression for the row as a JSON array."""
    values = [value(captured, name, kind, row) for name, kind, _ in captured.schema.fields]
    chunks = [f"json_array({', '.join(values[i : i + CHUNK])})" for i in range(0, len(values), CHUNK)]
    if len(chunks) == 1:
        return chunks[0]
    inner = " || ',' || ".join(f"substr({chunk}, 2, length({chunk}) - 2)" for chunk in chunks)
    return f"'[' || {inner} || ']'"


def key_text(captured: Captured, row: str) -> str:
    """The row's key; the text columns of OutgoingTransaction make it text."""
    pk = captured.model._meta.pk
    assert pk is not None
    column = f"{row}.{quote(str(pk.column))}"
    return column if row in ("NEW", "OLD") else f"CAST({column} AS TEXT)"


def record(captured: Captured, action: str, row: str, previous: str = "NULL") -> str:
    """The INSERT of one OutgoingTransaction."""
    reason = "NULL" if captured.policy == "none" else "syncserver_reason()"
    return (
        f"INSERT INTO {OUTGOING} (unit, tx_name, action, tx_pk, previous_pk, payload, schema_id, is_baseline,"
        ' "user", reason, producer, device, captured_at, utc_offset, is_consumed_middleman, is_consumed_server)'
        f" VALUES (syncserver_unit(), {literal(captured.schema.label)}, '{action}', {key_text(captured, row)},"
        f" {previous}, {payload(captured, row)}, {captured.schema_id}, 0, syncserver_user(), {reason},"
        " syncserver_producer(), syncserver_device(), syncserver_now() / 1000, syncserver_utc_offset(), 0, 0);"
    )


def differs(columns: list[str]) -> str:
    """Whether any column changed. Grouped, so that hundreds of columns stay under SQLite's expression depth."""
    tests = [f"NEW.{c} IS NOT OLD.{c} COLLATE BINARY" for c in map(quote, columns)]
    groups = [" OR ".join(tests[i : i + CHUNK]) for i in range(0, len(tests), CHUNK)]
    return " OR ".join(f"({group})" for group in groups)


def triggers(captured: Captured) -> list[Trigger]:
    """Insert, update, changed key, delete."""
    pk = captured.model._meta.pk
    assert pk is not None
    key = quote(str(pk.column))
    others = [str(f.column) for f in captured.model._meta.local_concrete_fields if f is not pk]
    same_key = f"NEW.{key} IS OLD.{key} COLLATE BINARY"
    on = f"{REMEDY}()"
    if captured.policy == "required":
        on += f" AND syncserver_has_reason({literal(captured.schema.label)})"
    parts = [
        ("insert", "INSERT", on, record(captured, "I", "NEW")),
        (
            "rekey",
            "UPDATE",
            f"NOT ({same_key}) AND {on}",
            record(captured, "D", "OLD") + " " + record(captured, "I", "NEW", key_text(captured, "OLD")),
        ),
        ("delete", "DELETE", on, record(captured, "D", "OLD")),
    ]
    if others:
        when = f"{same_key} AND ({differs(others)}) AND {on}"
        parts.append(("update", "UPDATE", when, record(captured, "U", "NEW")))
    return [trigger(captured.table, name, event, when, body) for name, event, when, body in parts]


def trigger(table: str, name: str, event: str, when: str, body: str) -> Trigger:
    full = f"{PREFIX}_{name}_{table}"
    sql = f"CREATE TRIGGER {quote(full)} AFTER {event} ON {quote(table)} FOR EACH ROW WHEN {when} BEGIN {body} END"
    return Trigger(table=table, name=full, create=(sql,), body=sql)
