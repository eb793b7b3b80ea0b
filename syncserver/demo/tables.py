"""The demo's tables."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table


def new_table(*columns: str, title: str = "") -> Table:
    table = Table(*columns, title=title or None, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    table.pad_edge = True
    return table


def consumed(console: Console, devices: list[dict[str, Any]]) -> None:
    """Per device: batches and transactions consumed, and what became of the records."""
    counts = ("batches", "transactions", "inserted", "updated", "deleted", "parked_open")
    table = new_table("device", *("parked" if name == "parked_open" else name for name in counts))
    for device in devices:
        table.add_row(device["device"], *(str(device[name]) for name in counts))
    console.print(table)


def arrived(console: Console, rows: dict[str, dict[str, int]]) -> None:
    """Current rows per table and device."""
    table = new_table("what the server now holds", *rows, "in all")
    labels = sorted({label for counts in rows.values() for label in counts})
    for label in labels:
        numbers = [counts.get(label, 0) for counts in rows.values()]
        table.add_row(label, *map(str, numbers), str(sum(numbers)))
    console.print(table)


def history(console: Console, versions: list[dict[str, Any]]) -> None:
    """One record's versions: when, who, why, what changed."""
    table = new_table("when (UTC)", "who", "what", "why")
    for number, version in enumerate(versions):
        changed = [f"{name}: {older} → [bold]{newer}[/]" for name, older, newer in version["changes"]]
        table.add_row(
            clock(version["at"]),
            version["by"] or "-",
            "\n".join(changed) if number else f"made, with weight_kg {version['weight_kg']}",
            version["why"] or "-",
        )
    console.print(table)


def past(console: Console, state: dict[str, Any]) -> None:
    """A past state beside the present one."""
    table = new_table("participant", "weight then", "weight now")
    for participant, (then, now) in state["weights"].items():
        style = "" if then == now else "bold yellow"
        table.add_row(participant, then, now, style=style)
    console.print(table)
    before, after = state["specimens"]
    gone, new = sorted(set(before) - set(after)), sorted(set(after) - set(before))
    console.print(f"   Specimens then but not now: {', '.join(gone)}; now but not then: {', '.join(new)}.")


def clock(moment: str) -> str:
    return datetime.fromisoformat(moment).strftime("%H:%M:%S.%f")[:-3]
