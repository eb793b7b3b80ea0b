"""What passes through this installation for others: carried batches and bundles."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class CarriedBatch(models.Model):
    """Another device's sealed batch on a relay: the same bytes, without their lines, in any order, with gaps."""

    class State(models.TextChoices):
        CARRIED = "carried", "to be handed on"
        DELIVERED = "delivered", "held by the server"
        REFUSED = "refused", "refused by the server"

    device = models.CharField(max_length=64)
    epoch = models.CharField(max_length=32)
    number = models.BigIntegerField()
    hash = models.CharField(max_length=64)
    previous_hash = models.CharField(max_length=64, blank=True)
    lines = models.PositiveIntegerField()
    size = models.PositiveIntegerField()
    content = models.BinaryField(help_text="The envelope's bytes, as they came.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.CARRIED)
    refusal = models.CharField(max_length=60, blank=True, help_text="The server's stable code.")
    waits_for = models.BigIntegerField(
        null=True, blank=True, help_text="The server keeps it behind a gap: needed first."
    )
    receipt = models.JSONField(null=True, blank=True, help_text="A server's signed word that it holds this very batch.")
    received_from = models.CharField(max_length=64)
    received_via = models.CharField(max_length=20, help_text="push, pull or bundle.")
    received_at = models.DateTimeField(default=timezone.now)
    handed_to = models.CharField(max_length=64, blank=True)
    handed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["device", "id"]
        constraints = [
            models.UniqueConstraint(fields=["device", "epoch", "number", "hash"], name="sync_carried_unique"),
        ]
        indexes = [models.Index(fields=["state"], name="sync_carried_state")]

    def __str__(self) -> str:
        return f"batch {self.number} of {self.device}"


class Bundle(models.Model):
    """One exported or imported bundle file, for the history."""

    class Direction(models.TextChoices):
        EXPORTED = "exported", "exported"
        IMPORTED = "imported", "imported"

    class State(models.TextChoices):
        DONE = "done", "done"
        FAILED = "failed", "failed"

    direction = models.CharField(max_length=10, choices=Direction.choices)
    name = models.CharField(max_length=200, help_text="The file's name, without its folder.")
    bundle_id = models.CharField(max_length=32, blank=True)
    piece = models.PositiveIntegerField(default=1)
    pieces = models.PositiveIntegerField(default=1)
    exporter = models.CharField(max_length=64, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    size = models.BigIntegerField(default=0)
    batches = models.PositiveIntegerField(default=0)
    statements = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State.choices)
    code = models.CharField(max_length=60, blank=True, help_text="The stable code of a failure.")
    text = models.TextField(blank=True)
    confirmation = models.CharField(
        max_length=40, blank=True, help_text="Read out by the importer, checked by the exporter."
    )
    confirmed_at = models.DateTimeField(null=True, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.direction} {self.name}"
