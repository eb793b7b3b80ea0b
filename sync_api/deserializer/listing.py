"""Parked units as an operator reads them."""

from __future__ import annotations

from typing import Any

import orjson

from sync_api.deserializer.consume import find_device
from sync_api.deserializer.retry import open_units
from sync_api.exceptions import ParkedUnitUnknown
from sync_api.models import IncomingTransaction, ParkedUnit

COLUMNS = ("id", "device", "code", "record", "text", "next_step", "waits_for", "attempts", "parked_at")


def list_units(alias: str, device: str | None = None) -> list[dict[str, Any]]:
    """The open parked units, in the order in which they wait, as plain facts."""
    units = open_units(alias, None if device is None else find_device(alias, device).pk)
    return [facts(unit) for unit in units.select_related("device")]


def show_unit(alias: str, unit_id: int) -> dict[str, Any]:
    """One unit, open or ended, with its transactions as they were received. ParkedUnitUnknown."""
    unit = ParkedUnit.objects.using(alias).select_related("device", "batch__epoch").filter(pk=unit_id).first()
    if unit is None:
        raise ParkedUnitUnknown(unit_id=unit_id, alias=alias)
    lines = IncomingTransaction.objects.using(alias).filter(batch=unit.batch_id, unit=unit.unit)
    return {
        **facts(unit),
        "state": unit.state,
        "field": unit.field,
        "batch": f"{unit.batch.epoch.epoch}/{unit.batch.number}",
        "ignored_by": unit.ignored_by,
        "ignored_reason": unit.ignored_reason,
        "dependants": list(unit.dependants.using(alias).order_by("id").values_list("id", flat=True)),
        "transactions": [transaction_facts(line, unit.batch.header["models"]) for line in lines.order_by("sequence")],
    }


def facts(unit: ParkedUnit) -> dict[str, Any]:
    return {
        "id": unit.pk,
        "device": unit.device.name,
        "code": unit.code,
        "record": f"{unit.tx_name} {unit.tx_pk}",
        "text": unit.text,
        "next_step": unit.next_step,
        "waits_for": unit.blocked_by_id,
        "attempts": unit.attempts,
        "parked_at": unit.parked_at.isoformat(),
    }


def transaction_facts(line: IncomingTransaction, described: list[dict[str, Any]]) -> dict[str, Any]:
    names = [name for name, _, _ in described[line.model_index]["fields"]]
    values = orjson.loads(line.payload) if line.payload is not None else []
    effective_at = line.effective_at
    return {
        "action": line.action,
        "record": f"{line.tx_name} {line.tx_pk}",
        "user": line.user,
        "reason": line.reason,
        "producer": line.producer,
        "effective_at": effective_at.isoformat() if effective_at else None,
        "values": dict(zip(names, values, strict=False)),
    }


def list_text(units: list[dict[str, Any]]) -> str:
    if not units:
        return "Nothing is parked."
    lines = []
    for unit in units:
        waits = f" (waits for {unit['waits_for']})" if unit["waits_for"] else ""
        lines.append(f"{unit['id']:>6}  {unit['device']}  {unit['code']}{waits}: {unit['text']}")
        lines.append(f"        {unit['next_step']}")
    return "\n".join(lines)


def show_text(unit: dict[str, Any]) -> str:
    lines = [f"{name}: {value}" for name, value in unit.items() if name != "transactions" and value not in ("", None)]
    for line in unit["transactions"]:
        lines.append(f"  {line['action']} {line['record']} by {line['user']} on {line['producer']}")
        lines.extend(f"      {name} = {value!r}" for name, value in line["values"].items())
    return "\n".join(lines)
