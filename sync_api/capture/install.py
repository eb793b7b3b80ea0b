"""Puts the triggers into a database, takes them out for migrations, and tells what is missing or stale."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Any

from django.db import connections, models, transaction

from sync_api.capture import triggers_postgresql, triggers_sqlite
from sync_api.capture.definitions import PREFIX, Captured, Trigger
from sync_api.conf import alias_settings
from sync_api.exceptions import UnsupportedField
from sync_api.models import CaptureSchema, LocalDevice
from sync_api.schema import describe, synced_models

UNSEALED_INDEXES = (
    "CREATE INDEX IF NOT EXISTS syncserver_unsealed_id ON sync_api_outgoingtransaction (id) WHERE batch_number IS NULL",
    "CREATE INDEX IF NOT EXISTS syncserver_unsealed_unit ON sync_api_outgoingtransaction (unit, id)"
    " WHERE batch_number IS NULL",
)
"""PostgreSQL only, where ids commit out of order and the sealer must find what is left. On SQLite they would cost
every save more than the trigger does, and are not needed: ids are in the order of commits."""


def install(alias: str, *, created: Collection[str] = ()) -> int:
    """Make this database capture: its device, its schemas, its triggers. Returns the number of tables.

    Opens its own transaction; running it again changes nothing. Does nothing on an alias without a role or with
    capture off. `created` are labels of models whose tables have only just been made: whatever they hold came
    with them and needs no baseline.
    """
    settings = alias_settings(alias)
    if not settings.capture:
        return 0
    with transaction.atomic(using=alias):
        device = local_device(alias)
        tables = captured_tables(alias, create=True)
        wanted = {trigger.name: trigger for captured in tables for trigger in definitions(alias, captured)}
        standing = installed(alias)
        if standing != {name: trigger.body for name, trigger in wanted.items()}:
            remove(alias)
            for trigger in wanted.values():
                execute(alias, trigger.create)
        for captured in tables:
            begin_baseline(alias, device, captured, is_new=captured.schema.label in created)
        device.save(using=alias, update_fields=["baselines"])
        if connections[alias].vendor == "postgresql":
            execute(alias, UNSEALED_INDEXES)
    return len(tables)


def local_device(alias: str) -> LocalDevice:
    """This installation's row, made with a fresh epoch when there is none. Call inside a transaction."""
    settings = alias_settings(alias)
    device, _ = LocalDevice.objects.using(alias).get_or_create(
        name=settings.device,
        defaults={"role": settings.role or "client", "epoch": uuid.uuid4().hex, "began": {"kind": "fresh"}},
    )
    return device


def captured_tables(alias: str, *, create: bool) -> list[Captured]:
    """The synced models whose tables stand in this database, each with its CaptureSchema row."""
    connection = connections[alias]
    standing = columns_of(alias)
    found = []
    for model in synced_models():
        if missing_columns(model, standing) != []:
            continue  # not migrated yet, or migrated back
        try:
            schema = describe(model, connection.vendor)
        except UnsupportedField:
            continue  # the system check names it (sync_api.E004)
        rows = CaptureSchema.objects.using(alias)
        row = rows.filter(fingerprint=schema.fingerprint).first()
        if row is None and create:
            row = rows.create(
                fingerprint=schema.fingerprint,
                tx_name=schema.label,
                storage=schema.storage,
                description=schema.description,
            )
        found.append(Captured(schema, row.pk if row is not None else 0))
    return found


def columns_of(alias: str) -> dict[str, set[str]]:
    """The columns of every table that stands in this database, by table."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "SELECT t.name, c.name FROM sqlite_master AS t, pragma_table_xinfo(t.name) AS c WHERE t.type = 'table'"
            )
        else:
            cursor.execute(
                "SELECT c.relname, a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid"
                " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')"
                " AND a.attnum > 0 AND NOT a.attisdropped"
            )
        found: dict[str, set[str]] = {}
        for table, column in cursor.fetchall():
            found.setdefault(table, set()).add(column)
    return found


def missing_columns(model: type[models.Model], standing: dict[str, set[str]]) -> list[str] | None:
    """The model's columns that its table lacks; None when there is no such table."""
    columns = standing.get(model._meta.db_table)
    if columns is None:
        return None
    return [str(field.column) for field in model._meta.local_concrete_fields if field.column not in columns]


def begin_baseline(alias: str, device: LocalDevice, captured: Captured, *, is_new: bool) -> None:
    """A table that is empty or new when capture begins needs no baseline; one with rows does."""
    label = captured.schema.label
    if label not in device.baselines:
        empty = is_new or not captured.model._base_manager.using(alias).exists()
        device.baselines[label] = {"done": empty, "after": None}


def definitions(alias: str, captured: Captured) -> list[Trigger]:
    """What must stand in the database for one table."""
    connection = connections[alias]
    if connection.vendor == "sqlite":
        return triggers_sqlite.triggers(captured)
    return triggers_postgresql.triggers(captured, current_schema(alias))


def current_schema(alias: str) -> str:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        return str(cursor.fetchone()[0])


def execute(alias: str, statements: Any) -> None:
    with connections[alias].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def installed(alias: str) -> dict[str, str]:
    """What stands in the database, by name, verbatim. A PostgreSQL function whose triggers are not all there
    and ENABLE ALWAYS counts as changed."""
    connection: Any = connections[alias]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, 11) = %s",
                [f"{PREFIX}_"],
            )
            return dict(cursor.fetchall())
        cursor.execute(
            "SELECT p.proname, p.prosrc, count(t.oid) FILTER (WHERE t.tgenabled = 'A') FROM pg_proc AS p"
            " JOIN pg_namespace AS n ON n.oid = p.pronamespace LEFT JOIN pg_trigger AS t ON t.tgfoid = p.oid"
            " WHERE n.nspname = current_schema() AND starts_with(p.proname, %s) GROUP BY p.oid, p.proname, p.prosrc",
            [f"{PREFIX}_"],
        )
        found = {}
        for name, body, enabled in cursor.fetchall():
            expected = 1 if name.startswith(f"{PREFIX}_truncate_") else 3
            found[name] = body if enabled == expected else f"{enabled} of {expected} triggers enabled"
        return found


def remove(alias: str) -> None:
    """Take every capture trigger out of this database."""
    connection = connections[alias]
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, 11) = %s",
                [f"{PREFIX}_"],
            )
            names = [row[0] for row in cursor.fetchall()]
        execute(alias, [f"DROP TRIGGER {triggers_sqlite.quote(name)}" for name in names])
    elif connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT format('DROP FUNCTION %%I.%%I() CASCADE', n.nspname, p.proname) FROM pg_proc AS p"
                " JOIN pg_namespace AS n ON n.oid = p.pronamespace"
                " WHERE n.nspname = current_schema() AND starts_with(p.proname, %s)"
                " AND p.prorettype = 'trigger'::regtype",
                [f"{PREFIX}_"],
            )
            drops = [row[0] for row in cursor.fetchall()]
        execute(alias, drops)
