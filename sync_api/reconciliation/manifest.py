"""The laptop's signed list of a day's records, and its check where it arrives.

    {"kind": "manifest", "format": 1, "device", "signer", "at", "day", "zone", "begin", "end",
     "epoch", "number", "hash", "unsealed", "models": [label], "records": [...], "sealed": [...], "certificate",
     "signature"}

`begin` and `end` are microseconds of the laptop's clock; `number` and `hash` its last sealed batch, `unsealed` its
changes that are in no batch yet. A record is {"model", "pk", "key", "action", "epoch", "number", "sha256"}. Of a model
whose payloads are sealed to recipients, each record is one text that only they can open (see wire/sealed_payloads.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import orjson
from django.utils import timezone

from audit.fields import from_microseconds
from sync_api.client.waiting import unsealed_transactions
from sync_api.conf import alias_settings, limit
from sync_api.exceptions import ManifestInvalid, ManifestTooLarge, NoLocalDevice, RecipientKeyMissing
from sync_api.models import LocalDevice, OutgoingTransaction
from sync_api.recipients.book import public_keys
from sync_api.recipients.choosing import names_for, sealed_models
from sync_api.recipients.own import own_private_keys
from sync_api.reconciliation.chosen import bounds_of, natural_key_of, reconciled_labels
from sync_api.reconciliation.records import Record, hash_of, row_values
from sync_api.schema.decoding import read_payload
from sync_api.trust import check_certificate, own_certificate
from sync_api.wire.certificates import is_signed_by, signed
from sync_api.wire.header import DEVICE, HEX32, HEX64, LABEL, NUMBER_MAX, number, short, text
from sync_api.wire.keys import device_keys
from sync_api.wire.opening import Opener
from sync_api.wire.sealed_payloads import Group, Place, is_sealed_header, new_group, seal_content

MANIFEST = b"syncserver-manifest-1\0"
MANIFEST_TYPE = "application/vnd.syncserver.manifest"
FORMAT = 1
SEALED_FIELDS = ["pk", "record"]
"""The fields of a sealed record, as if it were a row: its key, and the whole."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checked manifest. `unreadable` counts, by model, the records that are sealed to others."""

    device: str
    at: datetime
    day: str
    begin: int
    end: int
    epoch: str
    number: int
    hash: str
    unsealed: int
    models: list[str]
    records: list[Record]
    unreadable: dict[str, int]


# --- on the laptop -------------------------------------------------------------------------------------------


def make_manifest(alias: str, day: date) -> dict[str, Any]:
    """What was captured here on that day, by this laptop's clock and time zone, signed. Reads only.

    Raises NoLocalDevice, NotEnrolled, ReconcileModelsInvalid, ManifestTooLarge.
    """
    device = LocalDevice.objects.using(alias).filter(name=alias_settings(alias).device).first()
    if device is None:
        raise NoLocalDevice(alias=alias)
    begin, end = bounds_of(day)
    labels = reconciled_labels()
    records = day_records(alias, device.name, labels, begin, end)
    entries, groups = entries_of(alias, device, labels, records)
    facts = {
        "kind": "manifest",
        "format": FORMAT,
        "device": device.name,
        "signer": device.name,
        "at": timezone.now().isoformat(),
        "day": day.isoformat(),
        "zone": timezone.get_current_timezone_name(),
        "begin": begin,
        "end": end,
        "epoch": device.epoch,
        "number": device.head_number,
        "hash": device.head_hash,
        "unsealed": unsealed_transactions(alias, device.name),
        "models": labels,
        "records": entries,
        "sealed": groups,
        "certificate": own_certificate(alias),
    }
    return signed(MANIFEST, facts, device_keys(device.name))


def day_records(alias: str, device: str, labels: list[str], begin: int, end: int) -> list[Record]:
    """Of each record its last change of that day, in the order of the log."""
    rows = OutgoingTransaction.objects.using(alias).filter(
        device=device,
        tx_name__in=labels,
        action__in="IUD",
        payload__isnull=False,  # what was wiped and forgotten is the server's to tell
        captured_at__gte=from_microseconds(begin),
        captured_at__lt=from_microseconds(end),
    )
    columns = ("tx_name", "action", "batch_epoch", "batch_number", "payload", "schema__description", "schema__storage")
    records_max = int(limit("SYNC_RECONCILE_RECORDS_MAX"))
    last: dict[tuple[str, str], tuple[Any, ...]] = {}
    for row in rows.order_by("id").values_list(*columns).iterator(chunk_size=1_000):
        label, payload, description = row[0], row[4], row[5]
        identity = label, str(read_payload(description, payload)[description["pk"]])
        last.pop(identity, None)
        last[identity] = row
        if len(last) > records_max:
            raise ManifestTooLarge(records_max=records_max)
    return [
        Record(
            *(label, pk, action, epoch or "", batch, hash_of(payload)),
            key=natural_key_of(alias, label, row_values(label, description, storage, payload)),
        )
        for (label, pk), (_, action, epoch, batch, payload, description, storage) in last.items()
    ]


def entries_of(
    alias: str, device: LocalDevice, labels: list[str], records: list[Record]
) -> tuple[list[Any], list[dict[str, Any]]]:
    """The records in their order, those of sealed models as texts; and the groups by which these open."""
    place = manifest_place(device.name, device.epoch)
    groups = sealed_groups(alias, place, labels)
    entries: list[Any] = []
    for record in records:
        model = labels.index(record.label)
        facts = {"model": model, **{name: value for name, value in asdict(record).items() if name != "label"}}
        group = groups.get(model)
        if group is None:
            entries.append(facts)
            continue
        row = orjson.dumps([record.pk, facts]).decode()
        index = len(entries)
        told = seal_content(group, place, index, record.label, previous_key=None, reason=None, payload=row)
        entries.append({"model": model, "sealed": told})
    return entries, [group.facts for group in groups.values()]


def manifest_place(device: str, epoch: str) -> Place:
    """Batches begin at 1, so that nothing sealed for a manifest opens as a line of a batch."""
    return Place(device, epoch, 0)


def sealed_groups(alias: str, place: Place, labels: list[str]) -> dict[int, Group]:
    """By the place of each sealed model: a group of its own."""
    chosen = sealed_models()
    groups = {}
    for model, label in enumerate(labels):
        names = names_for(label, chosen)
        known = public_keys(alias, set(names))
        for name in names:
            if name not in known:
                raise RecipientKeyMissing(model=label, recipient=name)
        if names:
            keys = sorted({key for name in names for key in known[name]})
            groups[model] = new_group(place, [model], keys)
    return groups


# --- on the relay --------------------------------------------------------------------------------------------


def read_manifest_file(path: Path) -> bytes:
    """At most as much as a manifest may have. Raises ManifestInvalid."""
    try:
        with path.open("rb") as file:
            return file.read(int(limit("SYNC_MANIFEST_BYTES_MAX")) + 1)
    except OSError as error:
        raise ManifestInvalid(what=f"{path.name} could not be read ({error.strerror})") from error


def check_manifest(alias: str, content: bytes) -> Manifest:
    """The manifest in a file or an answer, if a certified device signed it. Reads only.

    Raises ManifestInvalid, or what `check_certificate` raises.
    """
    if len(content) > int(limit("SYNC_MANIFEST_BYTES_MAX")):
        raise ManifestInvalid(what="it is larger than SYNC_MANIFEST_BYTES_MAX")
    try:
        facts = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise ManifestInvalid(what="it is not JSON") from error
    if not isinstance(facts, dict) or not is_manifest(facts):
        raise ManifestInvalid(what="it has not the form of a manifest")
    certificate = facts["certificate"]
    check_certificate(alias, certificate)
    if certificate["device"] != facts["device"] or facts["signer"] != facts["device"]:
        raise ManifestInvalid(what="it is signed by another device than it speaks of")
    if not is_signed_by(MANIFEST, facts, certificate["public_key"]):
        raise ManifestInvalid(what="its signature does not fit: it was changed on the way")
    records, unreadable = read_records(alias, facts)
    return Manifest(
        at=datetime.fromisoformat(facts["at"]),
        records=records,
        unreadable=unreadable,
        **{name: facts[name] for name in ("device", "day", "begin", "end", "epoch", "number", "hash", "unsealed")},
        models=facts["models"],
    )


def is_manifest(facts: dict[str, Any]) -> bool:
    rules = {
        "kind": lambda value: value == "manifest",
        "format": lambda value: value == FORMAT,
        "device": text(DEVICE),
        "signer": text(DEVICE),
        "at": is_moment,
        "day": short,
        "zone": short,
        "begin": number(-NUMBER_MAX),
        "end": number(-NUMBER_MAX),
        "epoch": text(HEX32),
        "number": number(0),
        "hash": lambda value: value == "" or text(HEX64)(value),
        "unsealed": number(0),
        "models": lambda value: isinstance(value, list) and all(map(text(LABEL), value)),
        "records": lambda value: isinstance(value, list),
        "sealed": lambda value: value == [] or is_sealed_header(value),
        "certificate": lambda value: isinstance(value, dict),
        "signature": short,
    }
    return facts.keys() == rules.keys() and all(rule(facts[name]) for name, rule in rules.items())


def is_moment(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (ValueError, TypeError):
        return False


def read_records(alias: str, facts: dict[str, Any]) -> tuple[list[Record], dict[str, int]]:
    labels = facts["models"]
    opened = opened_entries(alias, facts)
    records: list[Record] = []
    unreadable: dict[str, int] = {}
    for entry in opened:
        if not isinstance(entry, dict) or not number(0, len(labels) - 1)(entry.get("model")):
            raise ManifestInvalid(what="a record has no model")
        label = labels[entry["model"]]
        if "sealed" in entry:
            unreadable[label] = unreadable.get(label, 0) + 1
        else:
            records.append(read_record(label, entry))
    return records, unreadable


def opened_entries(alias: str, facts: dict[str, Any]) -> Iterator[Any]:
    """The entries, those that are sealed to this installation opened."""
    entries: Iterable[Any] = facts["records"]
    if not facts["sealed"]:
        yield from entries
        return
    described = [
        {"label": label, "pk": "pk", "fields": [[name, "text", None] for name in SEALED_FIELDS]}
        for label in facts["models"]
    ]
    if any(model >= len(described) for group in facts["sealed"] for model in group["models"]):
        raise ManifestInvalid(what="a sealed group names a model that is not there")
    device, epoch, batch = manifest_place(facts["device"], facts["epoch"])
    header = {"device": device, "epoch": epoch, "number": batch, "models": described, "sealed": facts["sealed"]}
    opener = Opener(header, own_private_keys(alias_settings(alias).device))
    for index, entry in enumerate(entries):
        sealed = entry.get("sealed") if isinstance(entry, dict) else None
        content = opener.content(index, entry.get("model"), sealed) if sealed else None
        yield entry if content is None else orjson.loads(content.payload)[1]


def read_record(label: str, entry: dict[str, Any]) -> Record:
    rules = {
        "model": number(0),
        "pk": lambda value: isinstance(value, str),
        "key": lambda value: value is None or isinstance(value, list),
        "action": lambda value: value in ("I", "U", "D"),
        "epoch": lambda value: value == "" or text(HEX32)(value),
        "number": lambda value: value is None or number(1)(value),
        "sha256": text(HEX64),
    }
    if entry.keys() != rules.keys() or not all(rule(entry[name]) for name, rule in rules.items()):
        raise ManifestInvalid(what="a record has not the form of one")
    return Record(label=label, **{name: entry[name] for name in rules if name != "model"})
