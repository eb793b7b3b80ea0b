"""What was captured here, and the sealed batches that carry it."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from audit.fields import MicrosecondsField, RowIdField
from sync_api.models.local import CaptureSchema, LocalDevice
from sync_api.router.querysets import OutgoingTransactionQuerySet

BASELINE_REASON = "baseline"
"""The reason of a baseline's own rows, each of which is a unit by itself when sealed."""


class Action(models.TextChoices):
    INSERT = "I", "insert"
    UPDATE = "U", "update"
    DELETE = "D", "delete"
    MARK = "P", "mark: preserve"


class OutgoingTransaction(models.Model):
    """One insert, update or delete of one row, written by the table's trigger in the same database transaction.

    `id` is drawn inside the trigger; the order of effect is the order of ids (units: of their last id).
    No secondary index: each would be paid for by every save.
    """

    id = RowIdField(primary_key=True)
    unit = models.BigIntegerField(help_text="The same for all changes of one database transaction.")
    tx_name = models.CharField(max_length=201)
    action = models.CharField(max_length=1, choices=Action.choices)
    tx_pk = models.TextField(help_text="The row's key, as text.")
    previous_pk = models.TextField(null=True, help_text="On the insert half of a changed key: the key before.")
    payload = models.TextField(null=True, help_text="JSON array: the row's raw values in the schema's order.")
    schema = models.ForeignKey(
        CaptureSchema, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    is_baseline = models.BooleanField(default=False)
    user = models.TextField(null=True)
    reason = models.TextField(null=True)
    producer = models.TextField(help_text="device/host/database alias.")
    device = models.TextField(help_text="Name of the device that captured it.")
    captured_at = MicrosecondsField(help_text="The device's raw clock, UTC.")
    utc_offset = models.SmallIntegerField(null=True, help_text="Local time minus UTC, in minutes.")

    batch_number = models.BigIntegerField(null=True)
    batch_epoch = models.TextField(null=True)
    is_consumed_middleman = models.BooleanField(default=False)
    is_consumed_server = models.BooleanField(default=False)

    objects = OutgoingTransactionQuerySet.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.action} {self.tx_name} {self.tx_pk}"


class OutgoingBatch(models.Model):
    """A sealed envelope: stored once, and the same bytes sent on every road until a durable mark covers them."""

    device = models.ForeignKey(LocalDevice, on_delete=models.PROTECT, related_name="batches")
    epoch = models.CharField(max_length=32)
    number = models.BigIntegerField()
    hash = models.CharField(max_length=64)
    previous_hash = models.CharField(max_length=64, blank=True)
    first_sequence = models.BigIntegerField()
    lines = models.PositiveIntegerField()
    units = models.PositiveIntegerField()
    first_id = models.BigIntegerField(help_text="Lowest OutgoingTransaction id in it.")
    last_id = models.BigIntegerField(help_text="Highest OutgoingTransaction id in it.")
    content = models.BinaryField(help_text="The envelope's bytes.")
    size = models.PositiveIntegerField()
    sealed_at = models.DateTimeField(default=timezone.now)
    receipts = models.JSONField(default=dict, help_text="By kind: the signed receipt.")

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "outgoing batches"
        constraints = [
            models.UniqueConstraint(fields=["device", "epoch", "number"], name="sync_outgoing_batch_unique"),
        ]

    def __str__(self) -> str:
        return f"batch {self.number} of {self.device_id}"
