"""What the mirror holds now of the records that a batch touches."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from django.db import connections

from audit.engine.changes import Key
from audit.engine.stores import store_for
from audit.mirror.columns import NOW
from audit.mirror.tables import MirrorTable
from audit.models import Device


class Existing(NamedTuple):
    """The last version of one record. `pk` is None when it was deleted.

    `captured_until` is the moment, in microseconds, before which no later version of it may begin. `is_carried`: it
    stands in an earlier, preserved era, and a change of it goes on from there.
    """

    pk: int | None
    captured_until: int
    values: tuple[Any, ...] | None
    is_carried: bool = False


Current: TypeAlias = dict[MirrorTable, dict[Key, Existing]]


def lock_device(alias: str, device_id: int) -> None:
    """Take the device's row until the transaction ends, so that one writer at a time plans for it.

    Call inside a transaction. SQLite's write lock (`immediate`) is enough there.
    """
    if connections[alias].vendor != "sqlite":
        rows = Device.objects.using(alias).select_for_update(no_key=True, of=("self",))
        rows.values_list("pk").get(pk=device_id)


def load_current(
    alias: str,
    device_id: int,
    keys_by_table: Mapping[MirrorTable, Collection[Key]],
    with_values: Collection[MirrorTable] = (),
    *,
    era: str = NOW,
) -> Current:
    """The last version of each record named, by table and key; records never seen are left out.

    One statement per table, however many keys, and the device's row locked first. Values are read for the
    tables in `with_values` only (baselines are compared with them). Call inside a transaction
    (`audit.transactions.immediate`) that also writes what is planned.
    """
    lock_device(alias, device_id)
    store = store_for(alias)
    current: Current = {}
    for table, keys in keys_by_table.items():
        found = current[table] = {}
        if not keys:
            continue
        for key, pk, is_current, begun, ended, *values in store.last_versions(
            table, device_id, era, keys, with_values=table in with_values
        ):
            if is_current:
                found[key] = Existing(pk, store.microseconds(begun), tuple(values) or None)
            else:
                until = store.microseconds(ended)
                known = found.get(key)
                if known is None or (known.pk is None and known.captured_until < until):
                    found[key] = Existing(None, until, None)
    return current


def carry_over(
    alias: str,
    device_id: int,
    current: Current,
    keys_by_table: Mapping[MirrorTable, Collection[Key]],
    with_values: Collection[MirrorTable] = (),
    *,
    eras: Sequence[str],
) -> None:
    """Add to `current` the records that its era never held and that are current in one of `eras`, the first counts.

    A device that is not emptied at an era's end goes on changing what was preserved. A change of such a record ends
    the preserved version and begins one in the present era, so that no record is there twice; an insert of its key
    is another record, unless it was made no later than the preserved version (name such keys only where that may
    be: a device that was restored tells again what it told before). One statement per era and table with such keys.
    Call after `load_current`, in its transaction.
    """
    store = store_for(alias)
    for table, keys in keys_by_table.items():
        found = current[table]
        missing = {key for key in keys if key not in found}
        for era in eras:
            if not missing:
                break
            versions = store.last_versions(table, device_id, era, missing, with_values=table in with_values)
            for key, pk, is_current, begun, _, *values in versions:
                if is_current:
                    found[key] = Existing(pk, store.microseconds(begun), tuple(values) or None, is_carried=True)
                    missing.discard(key)
