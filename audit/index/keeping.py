"""Keeps the index inside the transaction that changes the mirror. Every writer of the mirror calls it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from django.db import connections

from audit.index.registry import Registration, children_of, registrations
from audit.index.statements import INDEX, dependants_sql, insert_sql
from audit.mirror.tables import MirrorTable
from audit.models import Device
from audit.sql import among_numbers, quoted


class Touched(NamedTuple):
    """`_pk`s of one mirror table that a commit began, ended, or changed where they stand (era, erasure)."""

    begun: Collection[int] = ()
    ended: Collection[int] = ()
    changed: Collection[int] = ()


def update_index(alias: str, device: Device, touched: Mapping[MirrorTable, Touched]) -> None:
    """Bring the index to what the mirror now says of these versions, and of the records whose parent is among them.

    Call inside the transaction that wrote them, after all of it was written. At most two statements per indexed table
    and two per table of dependants, however many rows. Tables that nobody registered cost nothing.
    """
    known = registrations()
    if not known:
        return
    for table, pks in touched.items():
        own = known.get(table)
        if own is not None:
            drop(alias, own, [*pks.ended, *pks.changed])
            add(alias, own, [*pks.begun, *pks.changed])
    for table, pks in touched.items():
        for child in children_of(table):
            follow(alias, device, child, [*pks.begun, *pks.ended, *pks.changed])


def drop(alias: str, one: Registration, pks: list[int]) -> None:
    if pks:
        among, parameter = among_numbers(alias, pks)
        run(alias, f'DELETE FROM {INDEX} WHERE "model" = %s AND "mirror_pk" {among}', one.table.label, parameter)


def add(alias: str, one: Registration, pks: list[int]) -> None:
    if pks:
        among, parameter = among_numbers(alias, pks)
        run(alias, insert_sql(one, connections[alias].vendor, f' AND m."_pk" {among}'), parameter)


def follow(alias: str, device: Device, child: Registration, parents: list[int]) -> None:
    """Make the entries of the dependants anew: theirs hold the parent's version and identifiers."""
    if not parents:
        return
    among, parameter = among_numbers(alias, parents)
    condition = dependants_sql(child, among)
    chosen = f'SELECT m."_pk" FROM {quoted(child.table.name)} AS m WHERE m."_current"{condition}'
    sql = f'DELETE FROM {INDEX} WHERE "model" = %s AND "mirror_pk" IN ({chosen})'
    run(alias, sql, child.table.label, device.pk, parameter)
    run(alias, insert_sql(child, connections[alias].vendor, condition), device.pk, parameter)


def run(alias: str, sql: str, *parameters: Any) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, list(parameters))
