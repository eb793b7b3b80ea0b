"""What an installation knows of itself: its device, its epoch, the schemas it captures."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from audit.fields import MicrosecondsField


class LocalDevice(models.Model):
    """This installation as a device, one row per device name captured in this database.

    It holds the epoch (one life of the database) and the head of the sealed chain.
    """

    name = models.CharField(max_length=64, unique=True)
    role = models.CharField(max_length=10)
    epoch = models.CharField(max_length=32, help_text="32 hex digits.")
    began = models.JSONField(
        help_text='{"kind": "fresh"} or {"kind": "continues", "epoch": hex, "number": n, "hash": hex}.'
    )
    era_ordinal = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField(default=timezone.now)

    head_number = models.BigIntegerField(default=0, help_text="Number of the last sealed batch of this epoch.")
    head_hash = models.CharField(max_length=64, blank=True)
    sequence = models.BigIntegerField(default=0, help_text="Transactions sealed in this epoch.")
    effective_at = MicrosecondsField(default=0, help_text="Effective time of the last sealed unit.")
    sealed_until = models.BigIntegerField(default=0, help_text="Every transaction up to this id is sealed.")

    acknowledged_number = models.BigIntegerField(default=0, help_text="Batches up to here are held by the server.")
    applied_number = models.BigIntegerField(default=0, help_text="Batches up to here are applied by the server.")
    durable_number = models.BigIntegerField(default=0, help_text="Batches up to here are in a verified backup.")
    server_url = models.URLField(blank=True)
    server_name = models.CharField(max_length=64, blank=True)
    server_key = models.CharField(max_length=64, blank=True, help_text="The server's public key, in hex.")
    recipients_digest = models.CharField(
        max_length=64, blank=True, help_text="Of the server's list of recipients' keys that was taken last."
    )
    certificate = models.JSONField(null=True, blank=True)
    enrolled_at = models.DateTimeField(null=True, blank=True)
    baselines = models.JSONField(default=dict, help_text='Per model label: {"done": bool, "after": last key written}.')

    class Meta:
        verbose_name = "this device"
        verbose_name_plural = "this device"

    def __str__(self) -> str:
        return self.name


class CaptureSchema(models.Model):
    """The columns that a trigger wrote, in the order of the payload's values. Never changed once written."""

    fingerprint = models.CharField(max_length=64, unique=True)
    tx_name = models.CharField(max_length=201)
    storage = models.CharField(max_length=12, help_text="sqlite or postgresql: the form of the raw values.")
    description = models.JSONField(help_text="As in the batch header: see sync_api.schema.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["tx_name", "id"]

    def __str__(self) -> str:
        return f"{self.tx_name} {self.fingerprint[:8]}"
