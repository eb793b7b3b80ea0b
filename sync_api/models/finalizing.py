"""Finalizing: the device's own progress, and the eras of a device on the server."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from audit.fields import MicrosecondsField
from sync_api.models.incoming import IncomingEpoch
from sync_api.models.local import LocalDevice


class Finalization(models.Model):
    """One finalize on this device, from the mark in the log to the wipe. Interrupted anywhere, it goes on."""

    class State(models.TextChoices):
        MARKED = "marked", "marked, waiting for the server"
        CONFIRMED = "confirmed", "the server has applied and preserved it"
        WIPED = "wiped", "local rows removed"
        ABANDONED = "abandoned", "given up by an operator"

    device = models.ForeignKey(LocalDevice, on_delete=models.PROTECT, related_name="finalizations")
    mark_id = models.CharField(max_length=32, unique=True, help_text="32 hex digits; in the mark's line.")
    era_ordinal = models.PositiveIntegerField(help_text="The era that the mark ends.")
    is_partial = models.BooleanField(default=False, help_text="Chosen records only: moved off, the era goes on.")
    transaction_id = models.BigIntegerField(help_text="OutgoingTransaction id of the mark.")
    manifest = models.JSONField(help_text='By model label: {"count": n, "sha256": hex, "keys": [...] when chosen}.')
    state = models.CharField(max_length=10, choices=State.choices, default=State.MARKED)
    receipt = models.JSONField(null=True, blank=True)
    marked_at = models.DateTimeField(default=timezone.now)
    marked_by = models.CharField(max_length=150, blank=True)
    reason = models.TextField(blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    wiped_at = models.DateTimeField(null=True, blank=True)
    wiped = models.JSONField(default=dict, help_text="By model label: rows removed, and rows kept as changed since.")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"finalization {self.mark_id[:8]} of {self.device_id}"


class IncomingEra(models.Model):
    """One era of one epoch on the server: its ordinal on the device, and the mirror's era of its records."""

    epoch = models.ForeignKey(IncomingEpoch, on_delete=models.PROTECT, related_name="eras")
    ordinal = models.PositiveIntegerField()
    era = models.CharField(max_length=32, default="NOW")
    mark_id = models.CharField(max_length=32, blank=True)
    preserved = models.JSONField(null=True, blank=True, help_text="The outcome of the mark that ended it.")
    ended_at = MicrosecondsField(null=True)

    class Meta:
        ordering = ["epoch", "ordinal"]
        constraints = [models.UniqueConstraint(fields=["epoch", "ordinal"], name="sync_incoming_era_unique")]

    def __str__(self) -> str:
        return f"era {self.ordinal} of {self.epoch_id}"
