"""An example study, of the kind the project is made for: households visited by field workers with laptops.

site -> household -> participant -> visit -> specimen (with requisition number)
                                      \\-> symptoms (many-to-many)

Every record is known by a natural key, so that people on two machines mean the same record.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from sync_api.mixins import SyncModelMixin

REQUISITION_NUMBER = r"\A[A-Z]{3}-\d{6}\Z"
requisition_number_validator = RegexValidator(
    REQUISITION_NUMBER, "A requisition number is three capital letters, a hyphen and six digits: REQ-000123."
)


class NaturalKeyManager(models.Manager[Any]):
    """Finds a record by the values that `natural_key()` gives: those of `natural_key_fields`, in order."""

    def get_by_natural_key(self, *values: object) -> Any:
        return self.get(**dict(zip(self.model.natural_key_fields, values, strict=True)))


class StudyModel(SyncModelMixin, models.Model):
    """Base of the study's records: keys that no two laptops can both give out, and a natural key."""

    natural_key_fields: tuple[str, ...] = ()

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)

    objects = NaturalKeyManager()

    class Meta:
        abstract = True

    def natural_key(self) -> tuple[Any, ...]:
        """The values of `natural_key_fields`; a path such as `site__code` follows foreign keys."""
        return tuple(_follow(self, path) for path in self.natural_key_fields)


def _follow(record: models.Model, path: str) -> Any:
    value: Any = record
    for name in path.split("__"):
        value = getattr(value, name)
    return value


class Site(StudyModel):
    """A place from which the study is run."""

    natural_key_fields = ("code",)

    code = models.CharField(max_length=10, unique=True)
    name = models.CharField(max_length=100)

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class Household(StudyModel):
    """A dwelling that field workers visit."""

    natural_key_fields = ("site__code", "number")

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="households")
    number = models.CharField(max_length=20)
    village = models.CharField(max_length=100, blank=True)
    latitude = models.FloatField(null=True, blank=True)
    longitude = models.FloatField(null=True, blank=True)

    class Meta:
        ordering = ["site", "number"]
        constraints = [models.UniqueConstraint(fields=["site", "number"], name="study_household_natural_key")]

    def __str__(self) -> str:
        return f"household {self.number}"


class Participant(StudyModel):
    """A person who agreed to take part."""

    class Sex(models.TextChoices):
        FEMALE = "F", "female"
        MALE = "M", "male"
        OTHER = "O", "other"

    natural_key_fields = ("identifier",)

    identifier = models.CharField(max_length=20, unique=True)
    household = models.ForeignKey(Household, on_delete=models.PROTECT, related_name="participants")
    given_name = models.CharField(max_length=100)
    family_name = models.CharField(max_length=100)
    sex = models.CharField(max_length=1, choices=Sex.choices)
    born_on = models.DateField(null=True, blank=True)
    consented_at = models.DateTimeField()
    photo = models.ImageField(upload_to="participants/", null=True, blank=True)

    class Meta:
        ordering = ["identifier"]

    def __str__(self) -> str:
        return self.identifier


class Symptom(StudyModel):
    """An entry of the study's list of symptoms."""

    natural_key_fields = ("code",)

    code = models.CharField(max_length=20, unique=True)
    name = models.CharField(max_length=100)

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


class Visit(StudyModel):
    """What was found at one visit to one participant."""

    natural_key_fields = ("participant__identifier", "number")

    participant = models.ForeignKey(Participant, on_delete=models.PROTECT, related_name="visits")
    number = models.PositiveSmallIntegerField(validators=[MinValueValidator(1)])
    visited_at = models.DateTimeField()
    weight_kg = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(400)],
    )
    temperature_c = models.FloatField(null=True, blank=True)
    notes = models.TextField(blank=True)
    symptoms = models.ManyToManyField(Symptom, blank=True, related_name="visits")

    class Meta:
        ordering = ["participant", "number"]
        constraints = [
            models.UniqueConstraint(fields=["participant", "number"], name="study_visit_natural_key"),
        ]

    def __str__(self) -> str:
        return f"visit {self.number} of {self.participant_id}"


class Specimen(StudyModel):
    """A specimen taken at a visit, known from the label that the laptop prints."""

    class Kind(models.TextChoices):
        BLOOD = "blood", "blood"
        SALIVA = "saliva", "saliva"
        URINE = "urine", "urine"

    natural_key_fields = ("requisition_number",)

    requisition_number = models.CharField(max_length=10, unique=True, validators=[requisition_number_validator])
    visit = models.ForeignKey(Visit, on_delete=models.PROTECT, related_name="specimens")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    drawn_at = models.DateTimeField()
    volume_ml = models.DecimalField(max_digits=5, decimal_places=2, null=True, blank=True)

    class Meta:
        ordering = ["requisition_number"]

    def __str__(self) -> str:
        return self.requisition_number
