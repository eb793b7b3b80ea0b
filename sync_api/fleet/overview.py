"""Every device at a glance: what waits on it, how long it is silent, how its clock is, who carries its batches."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Min, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from audit.models import Device
from sync_api.conf import alias_settings, limit
from sync_api.files.reading import completeness
from sync_api.fleet.facts import now
from sync_api.fleet.skew import moment, skew_seconds
from sync_api.fleet.words import duration, records, since, size
from sync_api.models import Alarm, CarriedBatch, IncomingBatch, IncomingEpoch, Statement


@dataclass(slots=True)
class Heard:
    """The last word of each device, and what middlemen say of the clocks of those they met."""

    by_device: dict[str, Statement] = field(default_factory=dict)
    seen: dict[str, tuple[datetime, float]] = field(default_factory=dict)
    """By device: when a middleman met it, and how far its clock was ahead of the true one, as far as is known."""


def fleet_status(alias: str, names: list[str] | None = None) -> list[dict[str, Any]]:
    """One entry per device (of these names, None: all), in a fixed number of statements. `text` says it in words.

    `pending` is what the device has recorded and this server does not hold yet, on whatever road it is;
    `clock_skew_seconds` is more than 0 for a clock that is ahead, and null where it could not be measured.
    """
    devices = Device.objects.using(alias).order_by("name")
    if names is not None:
        devices = devices.filter(name__in=names)
    counted = devices.annotate(parked=Count("parked_units", filter=Q(parked_units__state="parked")))
    epochs = epochs_by_device(alias)
    alarms = dict(
        Alarm.objects.using(alias).filter(resolved_at=None).values_list("device").annotate(Count("pk")).order_by()
    )
    waiting = IncomingBatch.objects.using(alias).filter(state=IncomingBatch.State.EARLY).order_by()
    early = dict(waiting.values_list("epoch__device").annotate(Count("pk")))
    heard, carried, at = heard_of(alias), carried_by(alias), now(alias)
    files = completeness(alias)
    entries = []
    for device in counted:
        if device.name == alias_settings(alias).device and device.pk not in epochs:
            continue  # this installation itself
        own = epochs.get(device.pk, {})
        entry = {
            "device": device.name,
            "role": device.role,
            "last_seen_at": device.last_seen_at,
            "revoked_at": device.revoked_at,
            "held_batches": own.get("held", 0),
            "waiting_batches": own.get("waiting", 0),
            "early_batches": early.get(device.pk, 0),
            "expected_batch": own["next"] if early.get(device.pk) and own else None,
            "parked_units": device.parked,
            "alarms": alarms.get(device.pk, 0),
            **told_facts(device.name, heard, own.get("sequences", {}), at),
            "carried": carried.get(device.name, []),
            "files": files[device.name].facts if device.name in files else None,
        }
        entry["heard_at"] = latest(device.last_seen_at, entry["heard_at"])
        entry["silent_seconds"] = None if entry["heard_at"] is None else round((at - entry["heard_at"]).total_seconds())
        entries.append({**entry, "text": words(entry, at)})
    return entries


def epochs_by_device(alias: str) -> dict[int, dict[str, Any]]:
    """By device: batches held and to be consumed, and by epoch the transactions held."""
    found: defaultdict[int, dict[str, Any]] = defaultdict(lambda: {"held": 0, "waiting": 0, "next": 1, "sequences": {}})
    epochs = IncomingEpoch.objects.using(alias).order_by("ordinal")
    columns = ("device_id", "epoch", "head_number", "consumed_number", "sequence")
    for device_id, epoch, head, consumed, sequence in epochs.values_list(*columns):
        own = found[device_id]
        own["held"] += head
        own["waiting"] += head - consumed
        own["sequences"][epoch] = sequence
        own["next"] = head + 1
    return dict(found)


def heard_of(alias: str) -> Heard:
    heard = Heard()
    for statement in Statement.objects.using(alias).filter(kind=Statement.Kind.HEARTBEAT):
        heard.by_device[statement.device] = statement
    for statement in heard.by_device.values():
        seen = statement.facts.get("seen")
        of_carrier = skew_seconds(statement) or 0.0
        for name, told in seen.items() if isinstance(seen, dict) else ():
            if not (isinstance(told, list) and len(told) == 2 and type(told[1]) in (int, float)):
                continue
            met_at = moment(told[0])
            if met_at is not None and (name not in heard.seen or heard.seen[name][0] < met_at):
                heard.seen[name] = (met_at, told[1] + of_carrier)
    return heard


def told_facts(name: str, heard: Heard, held: dict[str, int], at: datetime) -> dict[str, Any]:
    """What the device's last heartbeat says, as far as it has the form; it comes from outside."""
    statement = heard.by_device.get(name)
    seen_at, seen_skew = heard.seen.get(name, (None, None))
    if statement is None:
        return {
            **dict.fromkeys(("pending", "oldest_pending_at", "heard_via", "versions", "free_disk_bytes")),
            "heard_at": seen_at if seen_at is None else min(seen_at, at),
            "clock_skew_seconds": seen_skew,
        }
    facts, skew = statement.facts, skew_seconds(statement)
    claimed = moment(facts.get("clock"))
    direct = skew is not None
    heard_at = statement.received_at if direct else latest(seen_at, claimed) or statement.received_at
    versions = facts.get("versions")
    oldest = moment(facts.get("oldest_pending_at"))
    waiting = still_waiting(facts, held)
    return {
        "pending": waiting,
        "oldest_pending_at": oldest if waiting else None,
        "heard_at": min(heard_at, statement.received_at),
        "heard_via": statement.via,
        "clock_skew_seconds": skew if direct else seen_skew,
        "versions": versions if isinstance(versions, dict) else None,
        "free_disk_bytes": count(facts.get("free_disk_bytes")),
    }


def still_waiting(facts: dict[str, Any], held: dict[str, int]) -> int | None:
    """What the device had recorded, less what has arrived since by any road; else what it said was pending."""
    recorded, epoch = count(facts.get("recorded")), facts.get("epoch")
    if recorded is not None and isinstance(epoch, str) and epoch in held:
        return max(0, recorded - held[epoch])
    return count(facts.get("pending"))


def count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def latest(*moments: datetime | None) -> datetime | None:
    known = [one for one in moments if one is not None]
    return max(known, default=None)


def carried_by(alias: str) -> dict[str, list[dict[str, Any]]]:
    """By device: who carries batches of it that have not arrived here, how many, and since when."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    own = CarriedBatch.objects.using(alias).filter(state=CarriedBatch.State.CARRIED).order_by()
    for device, batches, first in own.values_list("device").annotate(Count("pk"), Min("received_at")):
        found[device].append({"by": alias_settings(alias).device, "batches": batches, "since": first})
    if alias_settings(alias).role != "server":
        return dict(found)
    heads = IncomingEpoch.objects.using(alias).filter(device__name=OuterRef("device"), epoch=OuterRef("epoch"))
    custody = Statement.objects.using(alias).filter(kind=Statement.Kind.CUSTODY, facts__action="received")
    missing = custody.annotate(head=Coalesce(Subquery(heads.values("head_number")[:1]), 0)).filter(number__gt=F("head"))
    runs: defaultdict[tuple[str, str], list[tuple[Any, datetime]]] = defaultdict(list)
    for device, signer, epoch, number, facts in missing.values_list("device", "signer", "epoch", "number", "facts"):
        at = moment(facts.get("at"))
        if at is not None:
            runs[device, signer].append(((epoch, number), at))
    for (device, signer), batches in sorted(runs.items()):
        first = min(at for _, at in batches)
        found[device].append({"by": signer, "batches": len({key for key, _ in batches}), "since": first})
    return dict(found)


def words(entry: dict[str, Any], at: datetime) -> str:
    """`laptop-12: 240 records waiting, silent for 3 days, clock 2 h ahead, carried by relay-1 since Monday; ...`"""
    marks = [entry["role"]] if entry["role"] != Device.Role.CLIENT else []
    marks += ["REVOKED"] if entry["revoked_at"] else []
    name = entry["device"] + (f" ({', '.join(marks)})" if marks else "")
    parts = [*waiting_words(entry), silence_words(entry), *clock_words(entry)]
    parts += [f"carried by {run['by']} {since(run['since'], at)}" for run in entry["carried"]]
    if entry["early_batches"]:
        parts.append(f"{entry['early_batches']} batches wait for batch {entry['expected_batch']}, which has not come")
    if entry["files"] and entry["files"]["pending"]:
        parts.append(f"{entry['files']['pending']} of {entry['files']['files']} files pending")
    free = entry["free_disk_bytes"]
    if free is not None and free < int(limit("SYNC_DISK_LOW_BYTES")):
        parts.append(f"only {size(free)} of disk free")
    held = (
        f"{entry['held_batches']} batches held, {entry['waiting_batches']} to be consumed, "
        f"{entry['parked_units']} units parked, {entry['alarms']} alarms"
    )
    return f"{name}: {', '.join(parts)}; {held}."


def waiting_words(entry: dict[str, Any]) -> list[str]:
    if entry["pending"] is None:
        return []
    if entry["pending"] == 0:
        return ["nothing waiting"]
    return [f"{records(entry['pending'])} waiting"]


def silence_words(entry: dict[str, Any]) -> str:
    seconds = entry["silent_seconds"]
    if seconds is None:
        return "never heard of"
    if seconds >= float(limit("SYNC_SILENT_HOURS")) * 3_600:
        return f"silent for {duration(seconds)}"
    return f"heard {duration(max(0, seconds))} ago"


def clock_words(entry: dict[str, Any]) -> list[str]:
    skew = entry["clock_skew_seconds"]
    if skew is None or abs(skew) < float(limit("SYNC_CLOCK_SKEW_SECONDS")):
        return []
    return [f"clock {duration(skew)} {'ahead' if skew > 0 else 'behind'}"]
