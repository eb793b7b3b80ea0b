"""One model three times: plain, synced, and with django-simple-history; all refer to synced sites."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from simple_history.models import HistoricalRecords

from sync_api.mixins import SyncModelMixin


class KeyManager(models.Manager[Any]):
    def get_by_natural_key(self, key: str) -> Any:
        return self.get(pk=uuid.UUID(key))


class Site(SyncModelMixin, models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=40)

    objects = KeyManager()

    def __str__(self) -> str:
        return self.name

    def natural_key(self) -> tuple[str]:
        return (str(self.id),)


class Record(models.Model):
    """Ten fields: a UUID key, three short strings, a 200-character text, two integers, float, date, link."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=40)
    team = models.CharField(max_length=20)
    status = models.CharField(max_length=20)
    note = models.TextField()
    age = models.IntegerField()
    score = models.IntegerField()
    weight = models.FloatField()
    seen_on = models.DateField()
    site = models.ForeignKey(Site, models.PROTECT, related_name="+")

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name


class PlainRecord(Record):
    pass


class SyncedRecord(SyncModelMixin, Record):
    objects = KeyManager()

    def natural_key(self) -> tuple[str]:
        return (str(self.id),)


class HistoryRecord(Record):
    history = HistoricalRecords(use_base_model_db=True)
