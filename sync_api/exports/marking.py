"""Marking: one task for each entity and version that a search finds and that was not marked for it yet.

One INSERT from a SELECT, whatever the number of rows; the unique constraint lets two markers at once do no harm.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import orjson
from django.db import connections, models
from django.db.models import Exists, OuterRef, QuerySet, Value

from sync_api.exports.sources import ENTITY, VERSION, EntitySource, MirrorSource, source_for
from sync_api.models import ExportConfiguration, ExportTask
from sync_api.transactions import immediate

COLUMNS = (
    *("configuration", "entity", "version", "is_deletion", "state", "due_at"),
    *("attempts", "lease", "last_error", "marked_at"),
)


def mark(alias: str, configuration: ExportConfiguration, *, now: datetime) -> int:
    """The number of tasks made. 0 for a disabled configuration, and when nothing is new. Opens its own transaction.

    ExportEntityUnknown or ExportSearchInvalid when the model or a field of the search is gone.
    """
    with immediate(alias):
        rows = ExportConfiguration.objects.using(alias).select_for_update()
        current = rows.filter(pk=configuration.pk, is_enabled=True).first()
        if current is None:
            return 0
        source = source_for(current.entity_type)
        forget_watermark(current)
        until = source.watermark(alias) if isinstance(source, MirrorSource) else None
        made = insert_tasks(alias, current, source.found(alias, current), is_deletion=False, now=now)
        made += mark_removed(alias, current, source, now=now)
        current.marked_at, current.marked_until = now, until
        current.save(using=alias, update_fields=["marked_at", "marked_until", "marked_search"])
    return made


def mark_removed(alias: str, configuration: ExportConfiguration, source: EntitySource, *, now: datetime) -> int:
    gone = source.removed(alias, configuration) if configuration.sends_deletions else None
    return 0 if gone is None else insert_tasks(alias, configuration, gone, is_deletion=True, now=now)


def mark_all(alias: str, *, now: datetime) -> int:
    """Every enabled configuration, in order of creation. Those that cannot be marked are disabled, saying why."""
    from sync_api.exceptions import SyncError

    made = 0
    for configuration in ExportConfiguration.objects.using(alias).filter(is_enabled=True):
        try:
            made += mark(alias, configuration, now=now)
        except SyncError as error:
            rows = ExportConfiguration.objects.using(alias).filter(pk=configuration.pk)
            rows.update(is_enabled=False, disabled_at=now, last_error=str(error))
    return made


def forget_watermark(configuration: ExportConfiguration) -> None:
    """Another search looks at everything again; what was marked stays marked by its task."""
    told = [configuration.entity_type.lower(), configuration.search, configuration.sends_deletions]
    digest = hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()
    if digest != configuration.marked_search:
        configuration.marked_search, configuration.marked_until = digest, None


def insert_tasks(
    alias: str, configuration: ExportConfiguration, found: QuerySet[Any], *, is_deletion: bool, now: datetime
) -> int:
    marked = ExportTask.objects.using(alias).filter(
        configuration=configuration, entity=OuterRef(ENTITY), version=OuterRef(VERSION), is_deletion=is_deletion
    )
    constants: dict[str, Any] = {
        "export_configuration": Value(configuration.pk, models.UUIDField()),
        "export_deletion": Value(is_deletion, models.BooleanField()),
        "export_state": Value(ExportTask.State.PENDING.value, models.CharField()),
        "export_due": Value(now, models.DateTimeField()),
        "export_attempts": Value(0, models.IntegerField()),
        "export_lease": Value("", models.CharField()),
        "export_error": Value("", models.TextField()),
        "export_marked": Value(now, models.DateTimeField()),
    }
    rows = found.filter(~Exists(marked)).annotate(**constants)
    rows = rows.values_list(
        *("export_configuration", ENTITY, VERSION, "export_deletion", "export_state", "export_due"),
        *("export_attempts", "export_lease", "export_error", "export_marked"),
    )
    connection = connections[alias]
    quote = connection.ops.quote_name
    meta = ExportTask._meta
    columns = ", ".join(quote(str(meta.get_field(name).column)) for name in COLUMNS)  # type: ignore[union-attr]
    select, parameters = rows.query.get_compiler(alias).as_sql()
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {quote(meta.db_table)} ({columns}) {select} ON CONFLICT DO NOTHING", parameters)
        return int(cursor.rowcount)
