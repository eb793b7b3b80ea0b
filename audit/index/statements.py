"""The SQL of the index: the same SELECT keeps it, rebuilds it and checks it.

Keys, numbers and moments become text by the database; so an entry is the same whichever of the three made it.
"""

from __future__ import annotations

from functools import cache

from django.db import models

from audit.index.registry import Registration
from audit.mirror.tables import MirrorTable
from audit.models.index import TEXT_LENGTH_MAX, IndexEntry
from audit.sql import quoted

COLUMNS = (
    *("model", "mirror_pk", "device_id", "era", "key", "text", "folded"),
    *("parent_key", "parent_pk", "parent_text", "parent_folded"),
)
INDEX = quoted(IndexEntry._meta.db_table)
NAMES = ", ".join(map(quoted, COLUMNS))


@cache
def entries_sql(one: Registration, vendor: str) -> str:
    """SELECT of every entry that the mirror's current rows call for, to be narrowed by `AND ...`; "m" is the mirror.

    A parent is the current record of the same device and era. Where keys are UUIDs, which are never given twice, one
    of another era of the device will do: a device that is not emptied goes on under preserved parents.
    """
    table = one.table
    own = joined("m", table, one.identifiers, vendor)
    key = as_text("m", table, table.key, vendor)
    label = table.label.replace("'", "''")
    if one.parent is None or one.parent_field is None:
        parents: tuple[str, ...] = (
            "CAST(NULL AS text)",
            "CAST(NULL AS bigint)",
            "CAST(NULL AS text)",
            "CAST(NULL AS text)",
        )
        join = ""
    else:
        theirs = joined("p", one.parent, one.parent_identifiers, vendor)
        # without a parent its fields would be joined to an empty text, which says that it is there
        known = (f'CASE WHEN p."_pk" IS NULL THEN NULL ELSE {text} END' for text in (theirs, f"lower({theirs})"))
        parents = (as_text("m", table, one.parent_field, vendor), 'p."_pk"', *known)
        join = parent_join(one, column(table, one.parent_field))
    values = (f"'{label}'", 'm."_pk"', 'm."_device"', 'm."_era"', key, own, f"lower({own})", *parents)
    named = ", ".join(f"{value} AS {quoted(name)}" for value, name in zip(values, COLUMNS, strict=True))
    return f'SELECT {named} FROM {quoted(table.name)} AS m{join} WHERE m."_current"'


def parent_join(one: Registration, link: str) -> str:
    assert one.parent is not None, "asked for a table with a parent"
    name, key = quoted(one.parent.name), quoted(one.parent.key_column)
    if not is_uuid(one.parent):
        return (
            f' LEFT JOIN {name} AS p ON p.{key} = m.{link} AND p."_device" = m."_device"'
            ' AND p."_era" = m."_era" AND p."_current"'
        )
    there = f'FROM {name} AS q WHERE q.{key} = m.{link} AND q."_device" = m."_device" AND q."_current"'
    return (
        f' LEFT JOIN {name} AS p ON p."_pk" = coalesce((SELECT q."_pk" {there} AND q."_era" = m."_era"),'
        f' (SELECT max(q."_pk") {there}))'
    )


def insert_sql(one: Registration, vendor: str, condition: str = "") -> str:
    return f"INSERT INTO {INDEX} ({NAMES}) {entries_sql(one, vendor)}{condition}"


def dependants_sql(one: Registration, among: str) -> str:
    """Condition on "m", rows of a child table: those whose parent is among some `_pk`s of the parent's mirror.

    Parameters: the device's id, and what `among` (of audit.sql.among_numbers) takes.
    """
    assert one.parent is not None, "asked for a table with a parent"
    assert one.parent_field is not None, "asked for a table with a parent"
    return (
        f' AND m."_device" = %s AND m.{column(one.table, one.parent_field)} IN'
        f' (SELECT t.{quoted(one.parent.key_column)} FROM {quoted(one.parent.name)} AS t WHERE t."_pk" {among})'
    )


def joined(alias: str, table: MirrorTable, names: tuple[str, ...], vendor: str) -> str:
    """The values of some fields one after the other, without those that are empty."""
    parts = " || ".join(f"coalesce({as_text(alias, table, name, vendor)} || ' ', '')" for name in names)
    return f"substr(rtrim({parts}), 1, {TEXT_LENGTH_MAX})"


def as_text(alias: str, table: MirrorTable, name: str, vendor: str) -> str:
    field = table.mirror._meta.get_field(name)
    assert isinstance(field, models.Field)
    text = f"CAST({alias}.{quoted(str(field.column))} AS text)"
    if vendor == "postgresql" and isinstance(field, models.UUIDField):
        return f"replace({text}, '-', '')"
    return text


def column(table: MirrorTable, name: str) -> str:
    return quoted(table.db_columns[table.columns.index(name)])


def is_uuid(table: MirrorTable) -> bool:
    return isinstance(table.mirror._meta.get_field(table.key), models.UUIDField)
