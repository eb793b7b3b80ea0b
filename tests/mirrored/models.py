"""Models whose mirrors are built directly, without capture: what the audit layer is tested with."""

import uuid

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models.signals import class_prepared

from audit.index import Indexed
from audit.mirror.build import build_mirror

REFERENCES = {"Visit": {"nurse": "username"}}


def mirror_of_this_app(sender, **_):
    if sender.__module__ == __name__:
        build_mirror(sender, REFERENCES.get(sender.__name__, {}))


class_prepared.connect(mirror_of_this_app)


class Visit(models.Model):
    """Refers to a model that is defined later, to itself, to an unsynced model and to a content type."""

    indexed = Indexed(identifiers=("code", "on"), parent="site")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    site = models.ForeignKey("Site", models.CASCADE)
    follows = models.ForeignKey("self", models.SET_NULL, null=True, blank=True)
    nurse = models.ForeignKey("auth.User", models.SET_NULL, null=True, blank=True)
    code = models.SlugField(unique=True)
    note = models.TextField(default="")
    weight = models.FloatField(null=True)
    dose = models.DecimalField(max_digits=8, decimal_places=3, null=True)
    count = models.PositiveIntegerField(default=0)
    on = models.DateField(null=True)
    at = models.DateTimeField(auto_now=True)
    took = models.DurationField(null=True)
    raw = models.BinaryField(null=True)
    answers = models.JSONField(null=True)
    done = models.BooleanField(default=False)
    photo = models.ImageField(null=True, upload_to="photos")
    content_type = models.ForeignKey(ContentType, models.SET_NULL, null=True)
    object_id = models.PositiveBigIntegerField(null=True)
    about = GenericForeignKey()
    symptoms = models.ManyToManyField("Symptom")

    def __str__(self):
        return self.code


class Site(models.Model):
    """Counts its own keys."""

    indexed = Indexed()

    name = models.CharField(max_length=50, unique=True)
    is_open = models.BooleanField(default=True)

    class Meta:
        ordering = ["is_open", "-name"]

    def __str__(self):
        return self.name


class Symptom(models.Model):
    name = models.CharField(max_length=50, primary_key=True)

    def __str__(self):
        return self.name


class HomeVisit(Visit):
    """A child table: its mirror holds its own column and the parent link."""

    address = models.CharField(max_length=100)


class Letter(models.Model):
    """Small, for the engine's property test."""

    id = models.IntegerField(primary_key=True)
    text = models.CharField(max_length=20, null=True)

    class Meta:
        db_table = "letters"

    def __str__(self):
        return str(self.id)


class_prepared.disconnect(mirror_of_this_app)
