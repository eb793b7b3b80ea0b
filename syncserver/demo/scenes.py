"""What happens inside one machine.

`python -m syncserver.demo.scenes` in its folder reads one scene a line, as JSON (["history", "ann-laptop", key]),
plays it and prints its facts as a line of JSON.

Each scene is ordinary Django code, as a study's own program would have it: nothing in it knows of syncing but
`sync_context`, which says who makes a change and why.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import django

SEED = 20_260_504
BEN_PARTICIPANTS = 60
VILLAGES = ("Bokaa", "Oodi", "Morwa", "Pilane", "Malolwane")
NAMES = ("Kagiso", "Lesego", "Mpho", "Naledi", "Onalenna", "Pako", "Sethunya", "Tebogo", "Thabo", "Wame")
NOTES = (
    "Came alone.",
    "Was away yesterday, asked to come back.",
    "Feels well.",
    "Short of breath after the walk here.",
    "Wants to hear the results by telephone.",
)


def ann_makes_records() -> dict[str, Any]:
    """A morning of visits, typed in without any network. One weight is typed wrongly."""
    from sync_api.capture import sync_context
    from syncserver.study.models import Household, Participant, Site, Specimen, Symptom, Visit

    with sync_context(user="ann"):
        site = Site.objects.create(code="MOC", name="Mochudi")
        symptoms = [
            Symptom.objects.create(code=code, name=name)
            for code, name in (("COUGH", "cough"), ("FEVER", "fever"), ("NSWEAT", "night sweats"))
        ]
        at = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)
        for number in range(1, 6):
            household = Household.objects.create(
                site=site, number=f"H-{number:04d}", village="Pilane", latitude=-24.4102 + number / 7000
            )
            person = Participant.objects.create(
                identifier=f"MOC-{number:04d}",
                household=household,
                given_name=NAMES[number],
                family_name="Molefe",
                sex="F" if number % 2 else "M",
                born_on=date(1980 + number, number, 3 * number),
                consented_at=at,
            )
            visit = Visit.objects.create(
                participant=person,
                number=1,
                visited_at=at + timedelta(minutes=20),
                weight_kg=Decimal("16.50") if number == 3 else Decimal("58.20") + number,
                temperature_c=36.4 + number / 5,
                notes=NOTES[number - 1],
            )
            visit.symptoms.set(symptoms[: number % 3])
            Specimen.objects.create(
                requisition_number=f"REQ-{number:06d}", visit=visit, kind="blood", drawn_at=at, volume_ml=4
            )
            at += timedelta(minutes=35)
        wrong = Visit.objects.get(participant__identifier="MOC-0003")
    return {"moment": datetime.now(UTC).isoformat(), "visit": wrong.pk.hex}


def ann_corrects_records() -> dict[str, Any]:
    """The afternoon: a weight corrected, a broken tube replaced, a village renamed by one UPDATE."""
    from sync_api.capture import sync_context
    from syncserver.study.models import Household, Specimen, Symptom, Visit

    visit = Visit.objects.get(participant__identifier="MOC-0003")
    with sync_context(user="ann", reason="digits swapped; read again from the scale's slip"):
        visit.weight_kg = Decimal("61.50")
        visit.save(update_fields=["weight_kg"])
    with sync_context(user="ann", reason="tube broken on the way; drawn again"):
        broken = Specimen.objects.get(requisition_number="REQ-000002")
        Specimen.objects.create(
            requisition_number="REQ-000102",
            visit=broken.visit,
            kind="blood",
            drawn_at=broken.drawn_at,
            volume_ml=4,
        )
        broken.delete()
    with sync_context(user="supervisor", reason="the village's name as on the new map"):
        Household.objects.filter(village="Pilane").update(village="Pilane East")
    with sync_context(user="supervisor", reason="participant called back about the cough"):
        visit.symptoms.add(Symptom.objects.get(code="COUGH"))
        visit.notes = f"{visit.notes} Called back at four."
        visit.save()
    return {"moment": datetime.now(UTC).isoformat()}


def ben_makes_records() -> dict[str, Any]:
    """Another laptop, another village: many people at once, saved by bulk_create."""
    from django.db import transaction

    from sync_api.capture import sync_context
    from syncserver.study.models import Household, Participant, Site, Visit

    chance = random.Random(SEED)
    at = datetime(2026, 5, 4, 7, 30, tzinfo=UTC)
    with sync_context(user="ben"), transaction.atomic():
        site = Site.objects.create(code="OOD", name="Oodi")
        households = Household.objects.bulk_create(
            Household(
                site=site,
                number=f"O-{number:04d}",
                village=chance.choice(VILLAGES),
                latitude=-24.5 - chance.random(),
                longitude=26.0 + chance.random(),
            )
            for number in range(BEN_PARTICIPANTS // 3)
        )
        people = Participant.objects.bulk_create(
            Participant(
                identifier=f"OOD-{number:04d}",
                household=chance.choice(households),
                given_name=chance.choice(NAMES),
                family_name=chance.choice(VILLAGES),
                sex=chance.choice("FM"),
                born_on=date(1950, 1, 1) + timedelta(days=chance.randrange(20_000)),
                consented_at=at + timedelta(minutes=number),
            )
            for number in range(BEN_PARTICIPANTS)
        )
        Visit.objects.bulk_create(
            Visit(
                participant=person,
                number=1,
                visited_at=person.consented_at,
                weight_kg=Decimal(chance.randrange(4_000, 11_000)) / 100,
                temperature_c=36 + 3 * chance.random(),
                notes=chance.choice(NOTES),
            )
            for person in people
        )
    return {"participants": len(people)}


def waiting() -> dict[str, Any]:
    """How many changes this laptop has recorded, and how many of them a server holds."""
    from sync_api.models import OutgoingTransaction

    recorded = OutgoingTransaction.objects.all()
    return {"recorded": recorded.count(), "held_by_server": recorded.filter(is_consumed_server=True).count()}


def own_rows() -> dict[str, Any]:
    """Rows and their digest, per synced table of this laptop."""
    from sync_api.schema import synced_models

    return {
        model._meta.label_lower: digest(model._base_manager.values_list(*columns_of(model)))
        for model in synced_models()
        if model._meta.app_label == "study"
    }


def arrived_rows(device: str) -> dict[str, Any]:
    """The same of what the server's mirror holds as current for `device`."""
    from audit.mirror.tables import table_for
    from sync_api.schema import synced_models

    return {
        model._meta.label_lower: digest(
            table_for(model).mirror.objects.current().for_device(device).values_list(*columns_of(model))
        )
        for model in synced_models()
        if model._meta.app_label == "study"
    }


def received(device: str) -> dict[str, Any]:
    """What the server has received from `device`: batches, transactions, and how many of them are doubled."""
    from sync_api.models import IncomingBatch, IncomingTransaction

    transactions = IncomingTransaction.objects.filter(batch__epoch__device__name=device)
    places = set(transactions.values_list("batch__epoch", "sequence"))
    return {
        "batches": IncomingBatch.objects.filter(epoch__device__name=device).count(),
        "transactions": transactions.count(),
        "doubled": transactions.count() - len(places),
    }


def history(device: str, key: str) -> list[dict[str, Any]]:
    """Every version of one visit, oldest first: when, who, why, and what differs from the version before."""
    from audit.reading.diff import diff
    from syncserver.study.models import Visit

    versions = list(Visit.mirror.history(device, key))
    return [
        {
            "at": version.mirror_captured_at.isoformat(),
            "by": version.mirror_captured_by,
            "why": version.mirror_captured_reason,
            "changes": [
                [change.field, str(change.older), str(change.newer)]
                for change in (diff(versions[index - 1], version).fields if index else ())
            ],
            "weight_kg": str(version.weight_kg),
            "notes": version.notes,
        }
        for index, version in enumerate(versions)
    ]


def past(device: str, moment: str) -> dict[str, Any]:
    """Ann's visits as the laptop had them at `moment`, beside now: {participant: [then, now]}."""
    from syncserver.study.models import Participant, Specimen, Visit

    then, now = datetime.fromisoformat(moment), datetime.now(UTC)
    weights: dict[str, list[Any]] = {}
    for at in (then, now):
        people = dict(Participant.mirror.for_device(device).as_of(at).values_list("id", "identifier"))
        visits = Visit.mirror.for_device(device).as_of(at).values_list("participant", "weight_kg")
        for participant, weight in visits:
            weights.setdefault(people[participant], []).append(str(weight))
    specimens = [
        sorted(Specimen.mirror.for_device(device).as_of(at).values_list("requisition_number", flat=True))
        for at in (then, now)
    ]
    return {"weights": dict(sorted(weights.items())), "specimens": specimens}


def columns_of(model: Any) -> list[str]:
    return [field.name for field in model._meta.local_concrete_fields]


def digest(rows: Any) -> list[Any]:
    """[number of rows, SHA-256 over their values]: equal only if every value of every row is."""
    import hashlib

    lines = sorted(repr(tuple(row)) for row in rows)
    return [len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()]


SCENES: dict[str, Callable[..., Any]] = {
    scene.__name__: scene
    for scene in (
        ann_makes_records,
        ann_corrects_records,
        ben_makes_records,
        waiting,
        own_rows,
        arrived_rows,
        received,
        history,
        past,
    )
}

if __name__ == "__main__":
    django.setup()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(SCENES[name](*arguments)), flush=True)
