"""Incoming units that cannot be applied yet, and the records they hold back."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from audit.models import Device
from sync_api.models.incoming import IncomingBatch


class ParkedUnit(models.Model):
    """A unit set aside with its reason. What was received stays as it is in IncomingTransaction."""

    class State(models.TextChoices):
        PARKED = "parked", "parked"
        RELEASED = "released", "applied since"
        IGNORED = "ignored", "ignored by an operator"

    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="parked_units")
    batch = models.ForeignKey(IncomingBatch, on_delete=models.PROTECT, related_name="parked_units")
    unit = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.PARKED)
    code = models.CharField(max_length=40, help_text="Stable code; `behind_parked` for a dependant.")
    text = models.TextField(help_text="What happened, to which record. Never a field's value.")
    next_step = models.TextField()
    tx_name = models.CharField(max_length=201)
    tx_pk = models.TextField()
    field = models.CharField(max_length=100, blank=True)
    blocked_by = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="dependants")
    attempts = models.PositiveIntegerField(default=1)
    parked_at = models.DateTimeField(default=timezone.now)
    last_tried_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.CharField(max_length=150, blank=True, help_text="Of a baseline that differs: who took it.")
    accepted_reason = models.TextField(blank=True)
    ignored_by = models.CharField(max_length=150, blank=True)
    ignored_reason = models.TextField(blank=True)

    class Meta:
        ordering = ["device", "batch", "unit"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "unit"], name="sync_parked_unit_unique"),
        ]
        indexes = [
            models.Index(fields=["device"], condition=Q(state="parked"), name="sync_parked_open"),
        ]

    def __str__(self) -> str:
        return f"{self.code}: {self.tx_name} {self.tx_pk}"


class ParkedRecord(models.Model):
    """A record that a parked unit touches: later units that touch or refer to it wait behind.

    Its key has no index: PostgreSQL refuses to index a long one, and just such a record has to be parked.
    """

    parked_unit = models.ForeignKey(ParkedUnit, on_delete=models.CASCADE, related_name="records")
    tx_name = models.CharField(max_length=201)
    tx_pk = models.TextField()

    def __str__(self) -> str:
        return f"{self.tx_name} {self.tx_pk}"
