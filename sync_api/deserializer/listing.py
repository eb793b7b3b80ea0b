"""Parked units as an operator reads them: by cause, with how many wait behind each."""

from __future__ import annotations

from typing import Any

import orjson
from django.db.models import Count

from sync_api.deserializer.consume import find_device
from sync_api.deserializer.parking import PARKED
from sync_api.deserializer.retry import open_units
from sync_api.exceptions import ParkedUnitUnknown
from sync_api.models import IncomingTransaction, ParkedUnit

UNITS_SHOWN_MAX = 10
"""Of each cause, in the list of all causes."""


def list_units(alias: str, device: str | None = None, cause: str | None = None) -> list[dict[str, Any]]:
    """The open parked units, in the order in which they wait, as plain facts. DeviceNotRegistered."""
    units = open_units(alias, None if device is None else find_device(alias, device).pk)
    if cause is not None:
        units = units.filter(code=cause)
    behind = waiting_behind(alias)
    return [facts(unit, behind.get(unit.pk, 0)) for unit in units.select_related("device", "blocked_by")]


def waiting_behind(alias: str) -> dict[int, int]:
    """By unit: how many parked units wait for it."""
    counted = open_units(alias).order_by().values_list("blocked_by").annotate(Count("pk"))
    return dict(counted.filter(blocked_by__state=PARKED))


def show_unit(alias: str, unit_id: int) -> dict[str, Any]:
    """One unit, open or ended, with its transactions as they were received. ParkedUnitUnknown."""
    units = ParkedUnit.objects.using(alias).select_related("device", "batch__epoch", "blocked_by")
    unit = units.defer("batch__content").filter(pk=unit_id).first()
    if unit is None:
        raise ParkedUnitUnknown(unit_id=unit_id, alias=alias)
    lines = IncomingTransaction.objects.using(alias).filter(batch=unit.batch_id, unit=unit.unit)
    dependants = list(unit.dependants.using(alias).filter(state=PARKED).order_by("id").values_list("id", flat=True))
    return {
        **facts(unit, len(dependants)),
        "state": unit.state,
        "batch": f"{unit.batch.epoch.epoch}/{unit.batch.number}",
        "last_tried_at": unit.last_tried_at.isoformat(),
        "ended_at": unit.ended_at.isoformat() if unit.ended_at else None,
        "ignored_by": unit.ignored_by,
        "ignored_reason": unit.ignored_reason,
        "dependants": dependants,
        "transactions": [transaction_facts(line, unit.batch.header["models"]) for line in lines.order_by("sequence")],
    }


def facts(unit: ParkedUnit, behind: int) -> dict[str, Any]:
    """Plain facts of one unit; `waits_for` only while the unit it waits for is parked itself."""
    blocked = unit.blocked_by is not None and unit.blocked_by.state == PARKED
    return {
        "id": unit.pk,
        "device": unit.device.name,
        "code": unit.code,
        "model": unit.tx_name,
        "record": f"{unit.tx_name} {unit.tx_pk}",
        "field": unit.field,
        "text": unit.text,
        "next_step": unit.next_step,
        "waits_for": unit.blocked_by_id if blocked else None,
        "waiting_behind": behind,
        "attempts": unit.attempts,
        "parked_at": unit.parked_at.isoformat(),
    }


def transaction_facts(line: IncomingTransaction, described: list[dict[str, Any]]) -> dict[str, Any]:
    names = [name for name, _, _ in described[line.model_index]["fields"]]
    values = orjson.loads(line.payload) if line.payload is not None else []  # a text where it is sealed
    effective_at = line.effective_at
    return {
        "action": line.action,
        "record": f"{line.tx_name} {line.tx_pk}",
        "user": line.user,
        "reason": line.reason,
        "producer": line.producer,
        "effective_at": effective_at.isoformat() if effective_at else None,
        "values": dict(zip(names, values, strict=False)) if isinstance(values, list) else {},
    }


def by_cause(units: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The units with a trouble of their own, those of one cause (code, model and field) together, the most first."""
    causes: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for unit in units:
        if unit["waits_for"] is None:
            causes.setdefault((unit["code"], unit["model"], unit["field"]), []).append(unit)
    return sorted(causes.values(), key=len, reverse=True)


def list_text(units: list[dict[str, Any]], *, shown_max: int | None = UNITS_SHOWN_MAX) -> str:
    """Cause by cause. Units behind others are counted with the unit they wait for, and listed where it is not."""
    if not units:
        return "Nothing is parked."
    listed = {unit["id"] for unit in units}
    lines = []
    for cause in by_cause(units):
        first = cause[0]
        behind = sum(unit["waiting_behind"] for unit in cause)
        where = f"{first['model']}.{first['field']}" if first["field"] else first["model"]
        told = f"{first['code']} in {where}: {counted(len(cause))}"
        lines.append(f"{told}, {behind} more behind." if behind else f"{told}.")
        lines.append(f"  What to do: {first['next_step']}")
        lines.extend(unit_line(unit) for unit in cause[:shown_max])
        if len(cause) > len(cause[:shown_max]):
            more = len(cause) - len(cause[:shown_max])
            lines.append(f"          ... and {more} more: `parked list --cause {first['code']}`")
    lines.extend(unit_line(unit) for unit in units if unit["waits_for"] is not None and unit["waits_for"] not in listed)
    return "\n".join(lines)


def counted(units: int) -> str:
    return "1 unit" if units == 1 else f"{units} units"


def unit_line(unit: dict[str, Any]) -> str:
    notes = []
    if unit["waits_for"] is not None:
        notes.append(f"waits for {unit['waits_for']}")
    if unit["waiting_behind"]:
        notes.append(f"{unit['waiting_behind']} behind it")
    if unit["attempts"] > 1:
        notes.append(f"tried {unit['attempts']} times")
    told = f" ({', '.join(notes)})" if notes else ""
    return f"  {unit['id']:>6}  {unit['device']}  {unit['record']}{told}: {unit['text']}"


def show_text(unit: dict[str, Any]) -> str:
    shown = {name: value for name, value in unit.items() if name != "transactions" and value not in ("", None, [], 0)}
    lines = [f"{name}: {value}" for name, value in shown.items()]
    for line in unit["transactions"]:
        lines.append(f"  {line['action']} {line['record']} by {line['user']} on {line['producer']}")
        lines.extend(f"      {name} = {value!r}" for name, value in line["values"].items())
    return "\n".join(lines)
