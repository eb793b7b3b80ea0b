"""Validators and the rule for single-record users: inside the commit, and as a question with the same answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import models

from audit.mirror.columns import NOW
from audit.mirror.tables import MirrorTable, mirror_tables
from audit.models import Device, TableChanges
from sync_api.exceptions import RecordsForeign, RecordsRefused, Refusal
from sync_api.models import SingleRecordUser
from sync_api.uploads.asking import read_records
from sync_api.uploads.ownership import Node, Version, belonging, tree_of
from sync_api.uploads.registry import registry
from sync_api.uploads.state import AskedState, MirrorState, Row, State
from sync_api.uploads.validators import shown

NOT_YOURS = "this record does not belong to the record that the user may upload"
TOUCHED = ("added", "modified", "deleted", "preserved")


def check_commit(alias: str, *, user: Any, device: Device, changes: Sequence[TableChanges], era: str | None) -> None:
    """Refuse a commit whose resulting state is not valid. Raises RecordsRefused or RecordsForeign.

    Call inside the commit's transaction, after the mirror is written and preserved; nothing is written here.
    The number of statements depends on the models, not on the rows.
    """
    tables = {table.label: table for table in mirror_tables()}
    single = single_record_of(alias, user)
    if single is not None:
        refuse_foreign(alias, single, device, changes, era, tables)
    state = MirrorState(alias, device, era)
    refusals: list[Refusal] = []
    for one in changes:
        table = tables[one.model]
        if registry.validators.get(table.source):
            changed = added_rows(alias, device, table, one.keys.get("added", []))
            refusals.extend(asked(table.source, changed, state))
    if refusals:
        raise RecordsRefused(refusals=refusals)


def asked(model: type[models.Model], changed: Sequence[Row], state: State) -> Iterator[Refusal]:
    """What the model's validators refuse of these rows."""
    for validator in registry.validators.get(model, []) if changed else []:
        yield from validator(changed, state)


def added_rows(alias: str, device: Device, table: MirrorTable, pks: Sequence[int]) -> list[Row]:
    """The current versions among those just added: `_pk`s of one commit are one range of this device's."""
    if not pks:
        return []
    found = table.mirror._default_manager.using(alias).filter(
        mirror_device=device, mirror_pk__gte=min(pks), mirror_pk__lte=max(pks), mirror_current=True
    )
    return [Row(values[table.key], values) for values in found.order_by("mirror_pk").values(*table.columns)]


def single_record_of(alias: str, user: Any) -> SingleRecordUser | None:
    """What the user is bound to, when it is a single-record user."""
    return SingleRecordUser.objects.using(alias).select_related("access_key").filter(user_id=user.pk).first()


def refuse_foreign(
    alias: str,
    single: SingleRecordUser,
    device: Device,
    changes: Sequence[TableChanges],
    era: str | None,
    tables: Mapping[str, MirrorTable],
) -> None:
    """RecordsForeign when any version that the commit begins, ends or preserves is not of the user's record."""
    root = registry.root_of(single.access_key.model)
    tree = tree_of(root, tables.values())
    eras = [NOW] if era is None else [NOW, era]
    versions: list[Version] = []
    pks: dict[tuple[str, int], Node] = {}
    for table in (table for table in tables.values() if table.source in tree):
        found = table.mirror._default_manager.using(alias).filter(mirror_device=device, mirror_era__in=eras)
        for values in found.values("mirror_pk", *table.columns):
            node = Node(table.source, values[table.key])
            versions.append(Version(node, values))
            pks[table.label, values["mirror_pk"]] = node
    belongs = belonging(tree, read_identity(root.model, single.access_key.identity), versions)
    refusals = [
        Refusal(one.model, None if node is None else shown(node.key), NOT_YOURS)
        for one in changes
        for node in touched(one, pks)
        if node not in belongs
    ]
    if refusals:
        raise RecordsForeign(refusals=list(dict.fromkeys(refusals)))


def touched(changes: TableChanges, pks: Mapping[tuple[str, int], Node]) -> Iterator[Node | None]:
    """The records of one table's changes; None for one outside the tree."""
    for kind in TOUCHED:
        for pk in changes.keys.get(kind, []):
            yield pks.get((changes.model, pk))


def validate_records(
    alias: str, *, user: Any, device: Device | None, tables: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[Refusal]:
    """Would these records be taken? `tables` maps `db_table` to records by field or column name. Reads only.

    They are laid over the device's present state. An unknown table, an unknown name and a value that its field cannot
    hold are refusals like any other. The answer is that of the commit, for the same records.
    """
    rows, refusals = read_records(alias, tables)
    present = MirrorState(alias, device)
    state = AskedState(present, rows)
    single = single_record_of(alias, user)
    if single is not None:
        refusals.extend(foreign_asked(single, rows, state))
    for model, changed in rows.items():
        refusals.extend(asked(model, changed, state))
    return refusals


def foreign_asked(
    single: SingleRecordUser, rows: Mapping[type[models.Model], Sequence[Row]], state: State
) -> Iterator[Refusal]:
    root = registry.root_of(single.access_key.model)
    tables = mirror_tables()
    tree = tree_of(root, tables)
    members = [table.source for table in tables if table.source in tree]
    held = [Version(Node(model, key), row.values) for model in members for key, row in state.rows(model).items()]
    belongs = belonging(tree, read_identity(root.model, single.access_key.identity), held)
    for model, asked_rows in rows.items():
        for place, row in enumerate(asked_rows, 1):
            if Node(model, -place if row.key is None else row.key) not in belongs:
                yield Refusal(model._meta.label_lower, shown(row.key), NOT_YOURS)


def read_identity(model: type[models.Model], identity: Mapping[str, Any]) -> dict[str, Any]:
    """An access key's values, as the model's own fields read them."""
    return {name: read_value(model, name, value) for name, value in identity.items()}


def read_value(model: type[models.Model], name: str, value: Any) -> Any:
    """A JSON value as the field reads it; a foreign key's as its target's. Raises ValidationError."""
    field: Any = model._meta.get_field(name)
    while field.is_relation:
        field = field.target_field
    return field.to_python(value)
