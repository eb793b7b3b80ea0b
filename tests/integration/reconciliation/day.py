"""A day in the field: a certified laptop that captures, and the relay that carries its batches."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.apps import apps
from django.db import connections, transaction

from audit.models import Device
from sync_api.capture import not_captured
from sync_api.enrolment.registration import issue_certificate
from sync_api.models import CarriedBatch, LocalDevice, OutgoingBatch, Recipient, Statement
from sync_api.reconciliation import Comparison, Manifest, check_manifest, compare, make_manifest
from sync_api.relay import carry
from sync_api.sealing import seal
from sync_api.wire.keys import device_keys
from syncserver.study.models import Household, Participant, Site, Specimen, Symptom, Visit

HOME = "central"
RELAY = "relay-1"
LAPTOPS = {"default": "laptop-1", "laptop_pg": "laptop-2"}
RELAYS = {"default": "server_pg", "laptop_pg": "server"}
"""Each laptop reconciles with a relay on the other database."""
MODELS = ["study.specimen", "study.symptom"]
STUDY = [Specimen, Visit.symptoms.through, Visit, Participant, Household, Site, Symptom]


@dataclass
class FieldDay:
    """`laptop` and `relay` are database aliases; the server that enrolled both is known by its key alone."""

    laptop: str
    relay: str
    settings: Any

    @property
    def name(self) -> str:
        return LAPTOPS[self.laptop]

    def begin(self) -> None:
        self.settings.SYNC_RECONCILE_MODELS = MODELS
        self.settings.SYNC_BATCH_LINES = 6
        self.as_home()
        for alias, name, role in ((self.laptop, self.name, "client"), (self.relay, RELAY, "relay")):
            certificate = issue_certificate(self.relay, Device(name=name, role=role), device_keys(name).public_hex)
            fresh = LocalDevice(
                name=name,
                role=role,
                epoch=secrets.token_hex(16),
                began={"kind": "fresh"},
                certificate=certificate,
                server_name=HOME,
                server_key=device_keys(HOME).public_hex,
                server_url="http://127.0.0.1:9",
            )
            facts = {field.attname: getattr(fresh, field.attname) for field in LocalDevice._meta.fields}
            LocalDevice.objects.using(alias).update_or_create(
                name=name, defaults={key: value for key, value in facts.items() if key != "id"}
            )
        self.in_the_field()

    def as_home(self) -> None:
        """The relay's database speaks for the server. A connection reads its alias's settings when it is opened, so the
        laptop's stand in both."""
        self.settings.SYNC_DATABASES = {
            self.laptop: {"role": "client", "device": self.name},
            self.relay: {"role": "server", "device": HOME},
        }

    def in_the_field(self) -> None:
        self.settings.SYNC_DATABASES = {
            self.laptop: {"role": "client", "device": self.name},
            self.relay: {"role": "relay", "device": RELAY},
        }
        self.settings.SYNC_SERVER_DATABASE = self.laptop

    def end(self) -> None:
        """Leaves no row behind."""
        with not_captured("end of a test"), connections[self.laptop].cursor() as cursor:
            for model in STUDY:
                cursor.execute(f'DELETE FROM "{model._meta.db_table}"')
        for model in (CarriedBatch, Statement, Recipient):
            model.objects.using(self.relay).all().delete()
            model.objects.using(self.laptop).all().delete()
        LocalDevice.objects.using(self.relay).filter(name=RELAY).delete()
        with not_captured("end of a test"), transaction.atomic(using=self.relay):
            cursor = connections[self.relay].cursor()
            for model in [*(table.mirror.model for table in STUDY), *apps.get_app_config("audit").get_models()]:
                if model is not Device:
                    cursor.execute(f'DELETE FROM "{model._meta.db_table}"')

    # --- on the laptop ---------------------------------------------------------------------------------------

    def visit(self) -> Visit:
        alias = self.laptop
        site = Site.objects.using(alias).create(code="MOC", name="Mochudi")
        household = Household.objects.using(alias).create(site=site, number="H-1")
        participant = Participant.objects.using(alias).create(
            identifier="P-1",
            household=household,
            given_name="Neo",
            family_name="Pule",
            sex="F",
            consented_at=datetime.now(UTC),
        )
        return Visit.objects.using(alias).create(participant=participant, number=1, visited_at=datetime.now(UTC))

    def specimen(self, number: int, visit: Visit) -> Specimen:
        return Specimen.objects.using(self.laptop).create(
            requisition_number=f"REQ-{number:06d}", visit=visit, kind="blood", drawn_at=datetime.now(UTC)
        )

    def symptom(self, code: str, name: str = "") -> Symptom:
        return Symptom.objects.using(self.laptop).create(code=code, name=name or code.lower())

    def seal(self) -> None:
        seal(self.laptop, self.name)

    def manifest(self, day: date | None = None) -> bytes:
        return json.dumps(make_manifest(self.laptop, day or datetime.now(UTC).date())).encode()

    def batches(self) -> list[OutgoingBatch]:
        return list(OutgoingBatch.objects.using(self.laptop).order_by("number"))

    # --- on the relay ----------------------------------------------------------------------------------------

    def carry(self, *numbers: int) -> None:
        """Of the sealed batches those numbers, or all."""
        for batch in self.batches():
            if not numbers or batch.number in numbers:
                carry(self.relay, bytes(batch.content), handed_over_by=self.name, role="client", via="pull")

    def read(self, manifest: bytes) -> Manifest:
        return check_manifest(self.relay, manifest)

    def compare(self, manifest: bytes | None = None, **options: Any) -> Comparison:
        return compare(self.relay, self.name, manifest=None if manifest is None else self.read(manifest), **options)
