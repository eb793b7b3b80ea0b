"""Factories of the example study's records."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import factory

from syncserver.study.models import Household, Participant, Site, Specimen, Symptom, Visit


class SiteFactory(factory.django.DjangoModelFactory[Site]):
    class Meta:
        model = Site

    code = factory.Sequence(lambda n: f"S{n:03d}")
    name = factory.Faker("city")


class HouseholdFactory(factory.django.DjangoModelFactory[Household]):
    class Meta:
        model = Household

    site = factory.SubFactory(SiteFactory)
    number = factory.Sequence(lambda n: f"H-{n:04d}")
    village = factory.Faker("city")
    latitude = factory.Faker("pyfloat", min_value=-90, max_value=90)
    longitude = factory.Faker("pyfloat", min_value=-180, max_value=180)


class ParticipantFactory(factory.django.DjangoModelFactory[Participant]):
    class Meta:
        model = Participant

    identifier = factory.Sequence(lambda n: f"P-{n:05d}")
    household = factory.SubFactory(HouseholdFactory)
    given_name = factory.Faker("first_name")
    family_name = factory.Faker("last_name")
    sex = factory.Iterator(["F", "M"])
    born_on = date(1984, 2, 29)
    consented_at = datetime(2026, 5, 4, 8, 30, tzinfo=UTC)


class SymptomFactory(factory.django.DjangoModelFactory[Symptom]):
    class Meta:
        model = Symptom

    code = factory.Sequence(lambda n: f"SY{n:03d}")
    name = factory.Faker("word")


class VisitFactory(factory.django.DjangoModelFactory[Visit]):
    class Meta:
        model = Visit

    participant = factory.SubFactory(ParticipantFactory)
    number = factory.Sequence(lambda n: n % 30_000 + 1)
    visited_at = datetime(2026, 5, 4, 9, 15, 30, 123456, tzinfo=UTC)
    weight_kg = Decimal("61.50")
    temperature_c = 36.9
    notes = factory.Faker("sentence")


class SpecimenFactory(factory.django.DjangoModelFactory[Specimen]):
    class Meta:
        model = Specimen

    requisition_number = factory.Sequence(lambda n: f"REQ-{n:06d}")
    visit = factory.SubFactory(VisitFactory)
    kind = "blood"
    drawn_at = datetime(2026, 5, 4, 9, 20, tzinfo=UTC)
    volume_ml = Decimal("4.00")
