"""Synced models of every shape: what capture is tested with."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import models

from sync_api.mixins import SyncModelMixin


class ByName(models.Manager[Any]):
    def get_by_natural_key(self, name: str) -> Any:
        return self.get(name=name)


class ByCode(models.Manager[Any]):
    def get_by_natural_key(self, code: str) -> Any:
        return self.get(code=code)


class Named(SyncModelMixin, models.Model):
    name = models.CharField(max_length=100, unique=True)

    objects = ByName()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name

    def natural_key(self) -> tuple[str]:
        return (self.name,)


class Place(Named):
    """Counts its own keys."""

    is_open = models.BooleanField(default=True)
    visitors = models.IntegerField(default=0)


class Symptom(Named):
    pass


class Person(SyncModelMixin, models.Model):
    """Refers to a synced model, to itself, and to many."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    code = models.CharField(max_length=20, unique=True)
    note = models.TextField(default="")
    place = models.ForeignKey(Place, models.CASCADE, null=True, related_name="people")
    buddy = models.ForeignKey("self", models.SET_NULL, null=True)
    symptoms = models.ManyToManyField(Symptom, related_name="people")

    objects = ByCode()

    def __str__(self) -> str:
        return self.code

    def natural_key(self) -> tuple[str]:
        return (self.code,)


class PersonProxy(Person):
    class Meta:
        proxy = True


class Specimen(Named):
    """Parent table of a multi-table child."""

    volume = models.FloatField(default=0.0)


class BloodSpecimen(Specimen):
    group = models.CharField(max_length=3)


class Word(SyncModelMixin, models.Model):
    """Text is its key."""

    code = models.CharField(max_length=20, primary_key=True)
    text = models.TextField(null=True)

    objects = ByCode()

    def __str__(self) -> str:
        return self.code

    def natural_key(self) -> tuple[str]:
        return (self.code,)


class Consent(Named):
    """A change of it needs a reason."""

    sync_reason = "required"

    given = models.BooleanField(default=False)


class Draft(Named):
    """Reasons are not recorded."""

    sync_reason = "none"


class Signature(Named):
    """Refers to a model that is not synced, and to a content type."""

    sync_references = {"by": ("username",)}

    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    about = models.ForeignKey(ContentType, models.CASCADE, null=True)


class Kinds(SyncModelMixin, models.Model):
    """Every built-in column type."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    char = models.CharField(max_length=200, null=True)
    text = models.TextField(null=True)
    slug = models.SlugField(null=True)
    email = models.EmailField(null=True)
    url = models.URLField(null=True)
    small = models.SmallIntegerField(null=True)
    integer = models.IntegerField(null=True)
    big = models.BigIntegerField(null=True)
    positive = models.PositiveIntegerField(null=True)
    positive_small = models.PositiveSmallIntegerField(null=True)
    positive_big = models.PositiveBigIntegerField(null=True)
    boolean = models.BooleanField(null=True)
    float = models.FloatField(null=True)
    decimal = models.DecimalField(max_digits=15, decimal_places=4, null=True)
    whole = models.DecimalField(max_digits=15, decimal_places=0, null=True)
    date = models.DateField(null=True)
    time = models.TimeField(null=True)
    datetime = models.DateTimeField(null=True)
    duration = models.DurationField(null=True)
    binary = models.BinaryField(null=True)
    json = models.JSONField(null=True)
    uuid = models.UUIDField(null=True)
    ip = models.GenericIPAddressField(null=True)
    file = models.FileField(null=True, upload_to="files")
    image = models.ImageField(null=True, upload_to="images")
    path = models.FilePathField(null=True, path="/")
    doubled = models.GeneratedField(
        expression=models.F("small") * 2, output_field=models.IntegerField(null=True), db_persist=True
    )

    def __str__(self) -> str:
        return str(self.id)

    def natural_key(self) -> tuple[str]:
        return (str(self.id),)

    objects = type("ById", (models.Manager,), {"get_by_natural_key": lambda self, key: self.get(id=key)})()


WIDE = 200

Wide = type(
    "Wide",
    (Named,),
    {
        "__module__": __name__,
        "__doc__": "A form of 200 fields.",
        **{
            f"f{number:03}": models.FloatField(null=True) if number % 2 else models.CharField(max_length=20, null=True)
            for number in range(WIDE)
        },
    },
)


class PlainPlace(models.Model):
    """Not synced: the yardstick, and the bystander."""

    name = models.CharField(max_length=100, unique=True)

    def __str__(self) -> str:
        return self.name
