"""Ways to commit changes in tests: a device, stamps and one batch after another."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from audit.engine import Change, Stamp, load_current, plan, write
from audit.fields import from_microseconds, to_microseconds
from audit.mirror.tables import table_for
from audit.models import Device, Source
from audit.transactions import immediate

BEGIN = datetime(2026, 3, 1, 8, tzinfo=UTC)
numbers = itertools.count(1)


def new_device(alias, name=None):
    return Device.objects.using(alias).create(name=name or f"laptop-{next(numbers)}")


def new_source(alias, device, kind=Source.Kind.BATCH):
    return Source.objects.using(alias).create(device=device, kind=kind, reference=f"epoch/{next(numbers)}")


def stamp(seconds=0, *, user="ada", reason=None):
    return Stamp(to_microseconds(BEGIN) + seconds * 1_000_000, 120, user, reason, "laptop/host/default")


def at(seconds):
    return BEGIN + timedelta(seconds=seconds)


def change(action, model, key, values, when):
    return Change(action, table_for(model), key, values, when)


def commit(alias, device, changes, *, user="consumer"):
    """Apply all changes, or none: the audit rows."""
    with immediate(alias):
        keys: dict = {}
        for one in changes:
            keys.setdefault(one.table, set()).add(one.key)
        baselines = {one.table for one in changes if one.action == "B"}
        planned = plan(changes, load_current(alias, device.pk, keys, baselines))
        assert not planned.failures, planned.failures
        return write(alias, device, planned, new_source(alias, device), user, "1.0")


def committed_at(rows):
    moment = rows[0].committed_at
    return moment if isinstance(moment, datetime) else from_microseconds(moment)
