"""What arrived: epochs, batches, their transactions, and alarms for the operator."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from audit.fields import MicrosecondsField, RowIdField
from audit.models import Device
from sync_api.models.outgoing import Action
from sync_api.router.querysets import IncomingTransactionQuerySet


class IncomingEpoch(models.Model):
    """One life of one device's database, as received: the head of its chain and how far it is consumed."""

    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="epochs")
    epoch = models.CharField(max_length=32)
    ordinal = models.PositiveIntegerField(help_text="1 for the device's first epoch, and so on.")
    began = models.JSONField()
    head_number = models.BigIntegerField(default=0)
    head_hash = models.CharField(max_length=64, blank=True)
    sequence = models.BigIntegerField(default=0)
    effective_at = MicrosecondsField(default=0)
    consumed_number = models.BigIntegerField(default=0, help_text="Batches up to here are consumed.")
    durable_number = models.BigIntegerField(default=0, help_text="Batches up to here are in a verified backup.")
    era = models.CharField(
        max_length=32, default="NOW", help_text="The mirror's era of its records: NOW until a fresh epoch begins."
    )
    is_opened = models.BooleanField(default=False, help_text="The consumer has begun it (fresh: preserved NOW rows).")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["device", "ordinal"]
        constraints = [
            models.UniqueConstraint(fields=["device", "epoch"], name="sync_incoming_epoch_unique"),
            models.UniqueConstraint(fields=["device", "ordinal"], name="sync_incoming_epoch_ordinal"),
        ]

    def __str__(self) -> str:
        return f"epoch {self.ordinal} of {self.device_id}"


class IncomingBatch(models.Model):
    """A received envelope, its bytes as they came."""

    class State(models.TextChoices):
        EARLY = "early", "waits for the batches before it"
        HELD = "held", "stored, not yet consumed"
        CONSUMED = "consumed", "consumed"
        FORK = "fork", "refused: another batch has this number"

    epoch = models.ForeignKey(IncomingEpoch, on_delete=models.PROTECT, related_name="batches")
    number = models.BigIntegerField()
    hash = models.CharField(max_length=64)
    previous_hash = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=10, choices=State.choices)
    header = models.JSONField(help_text="The envelope's header, decoded.")
    content = models.BinaryField()
    size = models.PositiveIntegerField()
    lines = models.PositiveIntegerField()
    first_sequence = models.BigIntegerField()
    received_at = models.DateTimeField(default=timezone.now)
    received_from = models.CharField(max_length=64, help_text="Device that handed it over.")
    is_late = models.BooleanField(
        default=False, help_text="It came after a later epoch had begun: kept, and set aside for an operator."
    )
    consumed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["epoch", "number", "id"]
        verbose_name_plural = "incoming batches"
        constraints = [
            models.UniqueConstraint(fields=["epoch", "number", "hash"], name="sync_incoming_batch_hash"),
            models.UniqueConstraint(
                fields=["epoch", "number"],
                condition=Q(state__in=["held", "consumed"]),
                name="sync_incoming_batch_unique",
            ),
        ]

    def __str__(self) -> str:
        return f"batch {self.number} of {self.epoch_id}"


class IncomingTransaction(models.Model):
    """One received transaction. What was received is never changed; only the marks at the end are."""

    id = RowIdField(primary_key=True)
    batch = models.ForeignKey(IncomingBatch, on_delete=models.PROTECT, db_constraint=False, related_name="transactions")
    sequence = models.BigIntegerField(help_text="Its number in the epoch.")
    unit = models.PositiveIntegerField(help_text="Its unit's number in the batch, from 0.")
    model_index = models.PositiveSmallIntegerField(help_text="Which of the batch header's models.")
    tx_name = models.CharField(max_length=201)
    action = models.CharField(max_length=1, choices=Action.choices)
    tx_pk = models.TextField()
    previous_pk = models.TextField(null=True)
    payload = models.TextField(null=True)
    is_baseline = models.BooleanField(default=False)
    user = models.TextField(null=True)
    reason = models.TextField(null=True)
    producer = models.TextField()
    captured_at = MicrosecondsField(help_text="The device's raw clock, UTC.")
    effective_at = MicrosecondsField(help_text="The unit's effective time: never before the unit before it.")
    utc_offset = models.SmallIntegerField(null=True)

    is_consumed = models.BooleanField(default=False)
    consumed_at = MicrosecondsField(null=True)
    is_ignored = models.BooleanField(default=False)
    is_error = models.BooleanField(default=False)
    error = models.TextField(null=True)

    objects = IncomingTransactionQuerySet.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.action} {self.tx_name} {self.tx_pk}"


class Alarm(models.Model):
    """Something an operator must look at: a fork, a restored server, a wrong batch behind a gap."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="alarms")
    code = models.CharField(max_length=40)
    text = models.TextField()
    facts = models.JSONField(default=dict)
    raised_at = models.DateTimeField(default=timezone.now)
    times = models.PositiveIntegerField(default=1)
    last_raised_at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-last_raised_at"]

    def __str__(self) -> str:
        return f"{self.code}: {self.text[:80]}"
